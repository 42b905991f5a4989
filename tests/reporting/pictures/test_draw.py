import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ftl.reporting.pictures import KINDS, Picture, draw_pictures, gains, write_pictures
from ftl.reporting.pictures.subject import subjects
from ftl.reporting.run_tables import RunTables

PER_PARADIGM = {"similarity", "ranking", "timelines"}


@pytest.fixture(scope="module")
def drawn(run: RunTables) -> list[Picture]:
    return draw_pictures(run)


def test_every_kind_is_drawn_in_order_and_has_words(drawn: list[Picture]) -> None:
    studies = ("coldstart", "drift")  # not in this run
    assert [picture.kind for picture in drawn] == [kind for kind in KINDS if not kind.startswith(studies)]
    for picture in drawn:
        assert picture.png.startswith(b"\x89PNG\r\n\x1a\n")
        assert len(picture.caption) > 60
        assert picture.title in picture.alt
        assert bool(picture.paradigm) == (picture.kind in PER_PARADIGM)


def test_titles_name_dataset_origin_nodes_and_protocol(drawn: list[Picture]) -> None:
    for picture in drawn:
        if not picture.kind.startswith("tuning"):
            assert picture.title.startswith("d1 (simulated, 6 nodes), rigorous protocol: ")


def test_equal_tables_give_equal_bytes(run: RunTables, drawn: list[Picture]) -> None:
    few = replace(run, rounds=None, similarity=None, projection=None, timelines=None, tuning=None)
    expected = {picture.name: picture.png for picture in drawn}
    again = draw_pictures(few)
    assert [picture.kind for picture in again] == [
        "delta_f1", "delta_f1_nodes", "delta_f1_harmed", "fine_tuning", "arms", "costs"
    ]  # fmt: skip
    assert all(picture.png == expected[picture.name] for picture in again)


def test_every_picture_is_readable_in_grey(drawn: list[Picture]) -> None:
    """Black text on a white sheet, and greys between them for what is drawn."""
    for picture in drawn:
        grey = np.asarray(Image.open(io.BytesIO(picture.png)).convert("L"))
        assert grey[0, 0] == 255, picture.kind
        assert grey.min() < 60, picture.kind


def test_a_run_of_an_older_version_has_the_pictures_of_its_tables(run: RunTables) -> None:
    older = RunTables(results=run.results.drop(columns=["bytes_sent", "bytes_received"]), summary=run.summary)
    kinds = [picture.kind for picture in draw_pictures(older)]
    assert kinds == ["delta_f1", "delta_f1_nodes", "delta_f1_harmed", "fine_tuning", "arms"]


def test_tables_without_rows_draw_nothing(run: RunTables) -> None:
    empty = {name: getattr(run, name).iloc[:0] for name in ("rounds", "costs", "similarity", "projection", "timelines")}
    nothing = RunTables(results=run.results.iloc[:0], summary=run.summary.iloc[:0], tuning={}, **empty)
    assert draw_pictures(nothing) == []


def test_names_without_letters_in_the_font_and_with_formulas_are_set_without_a_warning(
    run: RunTables, recwarn: pytest.WarningsRecorder
) -> None:
    names = {"a": "節点", "b": "x$y_z$", "c": "узел 3", "d": "line\nbreak"}
    tables = {
        name: getattr(run, name).replace(names) for name in ("results", "similarity", "projection", "timelines")
    }  # fmt: skip
    kinds = [picture.kind for picture in draw_pictures(replace(run, rounds=None, costs=None, tuning=None, **tables))]
    assert {"delta_f1_harmed", "projection", "similarity", "ranking", "timelines"} <= set(kinds)
    assert [str(warning.message) for warning in recwarn] == []


def test_files_have_stable_names_and_two_of_one_name_are_refused(drawn: list[Picture], tmp_path) -> None:
    files = write_pictures(drawn, tmp_path / "figures")
    names = {path.name for path in (tmp_path / "figures").iterdir()}
    assert names == {path.name for path in files.values()}
    assert {
        "delta_f1_d1_rigorous.png", "delta_f1_nodes_d1_rigorous.png", "training_loss_d1_rigorous.png",
        "ranking_unsupervised_d1_rigorous.png",
    } <= names  # fmt: skip
    assert files["delta_f1_d1_rigorous"].read_bytes() == drawn[0].png
    with pytest.raises(ValueError, match="two are called 'delta_f1_d1_rigorous'"):
        write_pictures([drawn[0], drawn[0]], tmp_path)


def test_a_dataset_called_as_a_path_stays_in_the_folder(drawn: list[Picture], tmp_path) -> None:
    (path,) = write_pictures([replace(drawn[0], dataset="../real fleet")], tmp_path).values()
    assert path == tmp_path / "delta_f1_---real-fleet_rigorous.png"
    assert path.exists()


def test_two_datasets_keep_their_tables_apart(run: RunTables) -> None:
    both = RunTables(
        results=pd.concat([run.results, run.results.assign(dataset="d2")]),
        summary=pd.concat([run.summary, run.summary.assign(dataset="d2", delta_f1=np.nan)]),
        fleets=run.fleets,
    )
    drawn = {(picture.dataset, picture.kind) for subject in subjects(both) for picture in gains.pictures(subject)}
    assert {("d1", "delta_f1"), ("d1", "delta_f1_nodes"), ("d2", "delta_f1_nodes")} <= drawn
    assert ("d2", "delta_f1") not in drawn
