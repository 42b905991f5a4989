import json

import numpy as np
import pandas as pd
import pytest

import ftl.cli
from ftl.data.fleet import read_fleet
from tests.data.m100.exadata import write_month

N_ROWS = 400


@pytest.fixture
def telemetry(tmp_path):
    folder = tmp_path / "telemetry"
    folder.mkdir()
    rng = np.random.default_rng(0)
    time = pd.Timestamp("2021-03-01", tz="UTC") + pd.to_timedelta(15 * np.arange(N_ROWS), unit="min")
    for node in range(4):
        table = {"timestamp": time, "power_avg": rng.normal(size=N_ROWS), "value": np.zeros(N_ROWS)}
        pd.DataFrame(table).to_parquet(folder / f"{node}.parquet")
    return folder


@pytest.fixture
def ftl_(monkeypatch, capsys):
    def command(*words):
        monkeypatch.setattr("sys.argv", ["ftl", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            ftl.cli.main()
        said = capsys.readouterr()
        return int(ended.value.code or 0), said.out, said.err

    return command


def test_prepare_makes_a_fleet_of_a_recognised_layout(telemetry, tmp_path, ftl_):
    code, out, _ = ftl_("data", "prepare", telemetry, "--out", tmp_path / "fleet")
    assert code == 0
    fleet = read_fleet(tmp_path / "fleet")
    assert fleet.features == ("power_avg",)
    assert fleet.node_ids == ("0", "1", "2", "3")
    assert "4 of 4 nodes, 1 feature" in out
    assert f"ftl run {tmp_path / 'fleet'}" in out


def test_settings_of_the_source_and_of_the_preparation_reach_them(telemetry, tmp_path, ftl_):
    words = ("--with", "nodes=[1, 3]", "-S", "prepare.test_fraction=0.5")
    code, _, _ = ftl_("data", "prepare", telemetry, "--out", tmp_path / "fleet", *words)
    assert code == 0
    fleet = read_fleet(tmp_path / "fleet")
    assert fleet.node_ids == ("1", "3")
    assert fleet.report["settings"]["test_fraction"] == 0.5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--source", "m100"), "source: unknown 'm100'"),
        (("--with", "nodes"), "--with takes KEY=VALUE; got 'nodes'"),
        (("--with", "nodes=[1"), "--with nodes: the value is not valid YAML"),
        (("--with", "months=[21-03]"), "months: unknown key of source m100_aggregated"),
    ],
)
def test_a_wrong_word_is_named_and_nothing_is_written(telemetry, tmp_path, ftl_, words, message):
    code, _, err = ftl_("data", "prepare", telemetry, "--out", tmp_path / "fleet", *words)
    assert code == 2
    assert message in err
    assert not (tmp_path / "fleet").exists()


def test_run_takes_a_prepared_fleet_as_it_stands(telemetry, tmp_path, ftl_):
    ftl_("data", "prepare", telemetry, "--out", tmp_path / "fleet", "-S", "prepare.test_fraction=0.5")
    least = ["seeds=[0]", "paradigms=[unsupervised]", "baselines=[pca]", "select.n_participants=[2]"]
    least += [
        "select.policies=[top_n]",
        "local.n_epochs=1",
        "federate.n_rounds=1",
        "transfer.arms=[zero_shot, transfer]",
    ]
    words = [word for assignment in least for word in ("-S", assignment)]
    code, _, err = ftl_("run", tmp_path / "fleet", "--out", tmp_path / "out", *words)
    assert code == 0, err
    recorded = json.loads((tmp_path / "out" / "params.json").read_text())
    assert recorded["prepare"]["test_fraction"] == 0.5
    assert not (tmp_path / "out" / "stages" / "fleet").exists()
    assert (pd.read_parquet(tmp_path / "out" / "results.parquet")["node"].astype(str).nunique()) == 4


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("-S", "protocol=paper"), "was prepared under protocol 'rigorous', this run asks for 'paper'"),
        (("--with", "nodes=[1]"), "--source and --with belong to `ftl data prepare`"),
        (("-S", "prepare.missing=zero"), "used as it stands; -S prepare... belongs to `ftl data prepare`"),
    ],
)
def test_a_prepared_fleet_cannot_be_prepared_otherwise_by_run(telemetry, tmp_path, ftl_, words, message):
    ftl_("data", "prepare", telemetry, "--out", tmp_path / "fleet")
    code, _, err = ftl_("run", tmp_path / "fleet", "--out", tmp_path / "out", *words)
    assert code == 2
    assert message in err


def test_a_prepared_fleet_is_not_prepared_again(telemetry, tmp_path, ftl_):
    ftl_("data", "prepare", telemetry, "--out", tmp_path / "fleet")
    code, _, err = ftl_("data", "prepare", tmp_path / "fleet", "--out", tmp_path / "again")
    assert code == 2
    assert "is a prepared fleet already; use it with `ftl run` or `ftl data describe`" in err


def test_a_place_that_cannot_be_written_is_named(telemetry, tmp_path, ftl_):
    out = telemetry / "1.parquet" / "fleet"
    code, _, err = ftl_("data", "prepare", telemetry, "--out", out)
    assert code == 2
    assert f"--out {out}: cannot be made: " in err


def test_the_place_of_a_raw_releases_windows_is_said(tmp_path, ftl_):
    write_month(tmp_path / "raw", "21-03", ["ambient"], nodes=[1, 2], days=1, step=300)
    words = ("--with", f"cache={tmp_path / 'windows'}", "-S", "prepare.test_fraction=0.5")
    code, _, err = ftl_("data", "prepare", tmp_path / "raw", "--out", tmp_path / "fleet", *words)
    assert code == 0, err
    assert f"its windows are kept in {tmp_path / 'windows'}" in err
