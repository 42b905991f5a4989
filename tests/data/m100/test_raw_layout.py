"""Where the parts of a release are found, in folders and in tars, and what is said of damaged ones."""

import io
import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ftl.data.m100.layout import find_layout
from ftl.errors import TelemetryError
from tests.data.m100.conftest import OpenRaw
from tests.data.m100.exadata import metric_folder, month_start, pack_month, write_metric, write_month, write_states

START = month_start("21-03")


@pytest.fixture
def month(tree: Path) -> Path:
    """Month 21-03 with metrics ambient and p0_power of nodes 1 and 2, unpacked."""
    return write_month(tree, "21-03", ["ambient", "p0_power"], nodes=[1, 2], days=0.1, step=60)


def part_of(tree: Path, metric: str = "ambient", month: str = "21-03") -> Path:
    return metric_folder(tree, month, metric) / "a_0.parquet"


def same(one, other) -> None:
    assert one.node_ids() == other.node_ids()
    for node_id in one.node_ids():
        a, b = one.read_node(node_id), other.read_node(node_id)
        assert a.features == b.features
        for name in ("time", "values", "label"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


def test_a_tar_reads_like_the_folder_it_was_made_from(month: Path, raw: OpenRaw, tmp_path: Path) -> None:
    tar = pack_month(month, "21-03", tmp_path / "tars")
    same(raw(tar.parent), raw())
    same(raw(tar), raw())
    assert sorted(tar.parent.iterdir()) == [tar]


def test_members_may_lie_below_a_folder_and_beside_other_files(month: Path, raw: OpenRaw, tmp_path: Path) -> None:
    (tmp_path / "tars").mkdir()
    with tarfile.open(tmp_path / "tars" / "21-03.tar", "w", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(tarfile.TarInfo("README"), io.BytesIO())
        archive.add(month / "year_month=21-03", "./exadata/" + "long/" * 30 + "year_month=21-03")
    same(raw(tmp_path / "tars"), raw())


def test_tars_and_folders_stand_side_by_side(month: Path, raw: OpenRaw) -> None:
    write_month(month, "21-04", ["ambient"], nodes=[1], days=0.1, step=60)
    wanted = raw().fingerprint()
    pack_month(month, "21-03")
    shutil.rmtree(month / "year_month=21-03")
    assert raw().months == ("21-03", "21-04")
    assert raw().fingerprint() == wanted
    with (month / "21-05.tar").open("wb") as unfinished:
        unfinished.write(b"half of it")
    assert raw(months=["21-03", "2021-04"]).fingerprint() == wanted  # a month that is not asked for is not opened


def test_unpacked_files_go_before_members_of_the_months_tar(month: Path, raw: OpenRaw) -> None:
    pack_month(month, "21-03")
    shutil.rmtree(part_of(month, "p0_power").parent)
    write_metric(month, "21-03", "ambient", [START], [9], np.ones(1))
    source = raw(metrics=["ambient"])
    assert source.node_ids() == ["9"]
    assert "month 21-03 is there unpacked and as a tar; unpacked files go before members of the tar" in source.notes
    assert raw(metrics=["p0_power"]).node_ids() == ["1", "2"]


@pytest.mark.parametrize("where", ["", "year_month=21-03"])
def test_a_path_may_be_above_or_be_the_month(month: Path, raw: OpenRaw, where: str) -> None:
    assert raw(month / where).months == raw(month.parent).months == ("21-03",)


def test_a_month_that_is_missing_is_named_beside_those_that_are_there(month: Path, raw: OpenRaw) -> None:
    with pytest.raises(TelemetryError, match="month 21-07 is not there; there are 21-03"):
        raw(months=["21-03", "21-07"])


@pytest.mark.parametrize("content", [None, "README.md"])
def test_a_folder_without_a_month_is_refused(tmp_path: Path, raw: OpenRaw, content: str | None) -> None:
    (tmp_path / "empty").mkdir()
    if content:
        (tmp_path / "empty" / content).write_text("telemetry")
    with pytest.raises(TelemetryError, match="no month of the M100 ExaData release"):
        raw(tmp_path / "empty")
    with pytest.raises(TelemetryError, match="no such folder"):
        raw(tmp_path / "nowhere")


def test_two_tars_of_one_month_are_refused(month: Path, raw: OpenRaw) -> None:
    shutil.copy(pack_month(month, "21-03"), month / "copy.tar")
    with pytest.raises(TelemetryError, match="two tars hold month 21-03, the second is copy.tar"):
        raw()


def test_tars_that_cannot_be_used_are_named(month: Path, raw: OpenRaw) -> None:
    with tarfile.open(month / "thesis.tar", "w") as archive:
        archive.add(__file__, "chapter")
    (month / "21-04.tar.gz").write_bytes(b"")
    assert find_layout(month).notes == (
        "compressed tars cannot be read in place and were left out; unpack them to .tar: 21-04.tar.gz",
        "thesis.tar holds no year_month=*/plugin=*/metric=*/*.parquet and was left out",
    )


@pytest.mark.parametrize("cut", ["in a header", "in a member", "between members", "before the end mark", "empty"])
def test_a_tar_that_is_cut_short_is_refused_by_name(month: Path, raw: OpenRaw, tmp_path: Path, cut: str) -> None:
    tar = pack_month(month, "21-03", tmp_path / "tars")
    with tarfile.open(tar) as archive:
        last = archive.getmembers()[-1]
    length = {
        "in a header": last.offset + 100,
        "in a member": last.offset_data + last.size // 2,
        "between members": last.offset,
        "before the end mark": last.offset_data + -(-last.size // 512) * 512,
        "empty": 0,
    }[cut]
    os.truncate(tar, length)
    with pytest.raises(TelemetryError, match=r"21-03.tar: cannot be read .*download or copy it again"):
        raw(tar.parent)


def _zero(path: Path) -> None:
    path.write_bytes(b"")


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size * 2 // 3)


def _scramble(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[20 : len(content) // 2] = bytes(len(content) // 2 - 20)
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [_zero, _cut, _scramble])
@pytest.mark.parametrize("packed", [False, True])
def test_a_damaged_parquet_is_refused_by_name(month: Path, raw: OpenRaw, tmp_path: Path, damage, packed: bool) -> None:
    damage(part_of(month))
    path = pack_month(month, "21-03", tmp_path / "tars") if packed else month
    with pytest.raises(TelemetryError, match="metric=ambient/a_0.parquet: cannot be read .*download or copy it again"):
        raw(path).node_ids()
    assert raw(path, metrics=["p0_power"]).node_ids() == ["1", "2"]


def _without(table: pa.Table, name: str) -> pa.Table:
    return table.drop_columns([name])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda table: table.drop_columns(["node"]), "no column 'node' among timestamp, value"),
        (lambda table: table.set_column(0, "timestamp", pa.array(range(table.num_rows))), "'timestamp' holds int64"),
        (lambda table: table.set_column(2, "node", pa.array([1.5] * table.num_rows)), "'node' holds double"),
        (lambda table: table.set_column(1, "value", pa.array([[1]] * table.num_rows)), "'value' holds list"),
    ],
    ids=["no node", "time as number", "node as fraction", "value as list"],
)
def test_columns_of_another_kind_are_refused_by_name(month: Path, raw: OpenRaw, change, says: str) -> None:
    pq.write_table(change(pq.read_table(part_of(month))), part_of(month))
    with pytest.raises(TelemetryError) as error:
        raw().node_ids()
    assert says in str(error.value)
    assert "metric=ambient/a_0.parquet" in str(error.value)


def test_a_month_without_the_wanted_plugin_is_refused(tree: Path, raw: OpenRaw) -> None:
    write_states(tree, "21-03", [START], [1], [0])
    with pytest.raises(TelemetryError, match="no metric of ipmi or ganglia in 21-03; plugins that are there: nagios"):
        raw()


def test_months_may_be_a_range(month: Path, raw: OpenRaw) -> None:
    for other in ("20-12", "21-01", "21-02"):
        write_metric(month, other, "ambient", [month_start(other)], [1], np.ones(1))
    assert raw(months=["20-12..21-02"]).months == ("20-12", "21-01", "21-02")
    assert raw(months="2021-02..21-03,20-12").months == ("20-12", "21-02", "21-03")
    with pytest.raises(TelemetryError, match="month 21-04, 21-05 is not there"):
        raw(months=["21-02..21-05"])


def test_months_missing_between_others_are_noted_unless_they_were_left_out(month: Path, raw: OpenRaw) -> None:
    for other in ("21-05", "21-11"):
        write_metric(month, other, "ambient", [month_start(other)], [1], np.ones(1))
    assert find_layout(month).notes == (
        "no telemetry of 21-04 between 21-03 and 21-05",
        "no telemetry of 21-06 to 21-10 between 21-05 and 21-11",
    )
    assert find_layout(month, ["21-03", "21-05"]).notes == ()


def test_an_unfinished_download_is_noted(month: Path) -> None:
    (month / "21-04.tar.0a1b2c3d.part").write_bytes(b"half of it")
    (month / "SOURCE.json").write_text("{}")
    assert find_layout(month).notes == ("unfinished downloads, not read: 21-04.tar.0a1b2c3d.part",)
