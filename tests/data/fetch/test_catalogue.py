import pytest

from ftl.data.fetch.catalogue import DATASETS, Choice, choose, months, racks
from ftl.errors import ConfigError


def test_every_month_of_the_campaign_lies_in_one_record():
    parts = DATASETS["m100"].parts()
    assert len(parts) == len(set(parts)) == 31
    assert (parts[0], parts[9], parts[10], parts[-1]) == ("20-03", "20-12", "21-01", "22-09")


def test_the_records_sizes_add_up_to_the_published_430_gb():
    assert sum(record.gigabytes for record in DATASETS["m100"].records) == pytest.approx(430, rel=0.01)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["21-03"], ("21-03",)),
        (["2021-03"], ("21-03",)),
        (["21-04, 21-03", "21-03"], ("21-03", "21-04")),
        (["20-11..21-02"], ("20-11", "20-12", "21-01", "21-02")),
        ([], ()),
    ],
)
def test_months_are_read_as_words_lists_and_ranges(words, expected):
    assert months(words) == expected


def test_racks_are_read_as_numbers_lists_and_ranges():
    assert racks(["0,5", "10..12", "05"]) == ("0", "5", "10", "11", "12")


@pytest.mark.parametrize("word", ["23-01", "20-02", "21-13", "March", "21-03..", "21-03..21-04..21-05", ""])
def test_an_unknown_month_is_refused_and_the_known_ones_are_named(word):
    with pytest.raises(ConfigError, match="20-03..22-09"):
        months([word])


@pytest.mark.parametrize("word", ["49", "-1", "r205", "0-5"])
def test_an_unknown_rack_is_refused_and_the_known_ones_are_named(word):
    with pytest.raises(ConfigError, match="0..48"):
        racks([word])


def test_a_range_that_runs_backwards_is_refused_with_its_mending():
    with pytest.raises(ConfigError, match="write 21-03..21-05"):
        months(["21-05..21-03"])
    with pytest.raises(ConfigError, match="'20-03..20-01' runs backwards"):  # though 20-01 was not published
        months(["20-03..20-01"])
    with pytest.raises(ConfigError, match="write 9..10"):
        racks(["10..9"])


def test_a_month_is_found_in_its_record():
    assert choose(DATASETS["m100"], ["22-03", "20-12"]) == [Choice("20-12", 7588815), Choice("22-03", 7590061)]
    assert choose(DATASETS["m100-aggregated"], ["5"])[0].key == "5.tar"
