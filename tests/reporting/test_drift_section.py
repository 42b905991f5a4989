"""The drift study in the report: verdict, tables and curves, where it was made."""

import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ftl.reporting.blocks import Bullets, Section, tables_in
from ftl.reporting.drift_tables import drift_blocks
from ftl.reporting.pictures import drift
from ftl.reporting.report import TABLES
from ftl.reporting.run_tables import RunTables
from tests.studies.drift.drift_rows import drift_rows


@pytest.fixture(scope="module")
def run() -> RunTables:
    fleets = {"f": {"origin": "simulated"}}
    return RunTables(results=pd.DataFrame(), summary=pd.DataFrame(), drift=drift_rows(), fleets=fleets)


@pytest.fixture(scope="module")
def section(run: RunTables) -> Section:
    return Section("drift", "Drift handling", tuple(drift_blocks(run)))


def test_a_run_without_the_study_says_nothing_of_it() -> None:
    run = RunTables(results=pd.DataFrame(), summary=pd.DataFrame())
    assert drift_blocks(run) == []
    assert not list(drift.pictures(run))


def test_the_section_has_a_verdict_and_four_tables_that_say_where_they_are_from(section: Section) -> None:
    tables = list(tables_in(section.blocks))
    assert [table.name for table in tables] == ["drift_effects", "drift", "drift_gate", "drift_curve"]
    assert set(TABLES) >= {table.name for table in tables}
    for table in tables:
        assert table.caption.endswith("f (simulated, 4 nodes), rigorous protocol")
        assert {"dataset", "protocol"} <= set(table.numbers)
    (verdict,) = (block for block in section.blocks if isinstance(block, Bullets))
    assert "fired on 1 of 4 nodes" in verdict.lines[0]


def test_the_table_of_effects_holds_each_mechanism_alone_and_on_top(section: Section) -> None:
    effects = next(tables_in(section.blocks)).shown.set_index(["Mechanism", ""])
    assert effects.loc[("smoothing", "alone"), "Δ AUROC"].startswith("+0.050 [")
    assert effects.loc[("trailing", "on top of the others"), "Δ event recall"].startswith("-0.100 [")
    assert effects.loc[("recommended", "against nothing"), "Δ AUROC"].startswith("+0.075 [")


def test_the_picture_draws_all_curves_and_says_what_they_reach(run: RunTables) -> None:
    (picture,) = drift.pictures(run)
    assert picture.name == "drift_curve_f_rigorous"
    assert np.asarray(Image.open(io.BytesIO(picture.png)).convert("L")).std() > 10
    assert (
        "pca: 0.54 with all three, 0.72 with nothing" not in picture.caption
    )  # at as many alarms, not at one percentile
    assert "with all three" in picture.caption
    assert picture.title.startswith("f (simulated, 4 nodes)")
