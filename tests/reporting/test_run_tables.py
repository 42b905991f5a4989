import json
import shutil

import pytest

from ftl.errors import UserError
from ftl.evaluation import write_results, write_summary
from ftl.reporting import RunTables, read_run
from tests.reporting.synthetic_run import synthetic_run


@pytest.fixture(scope="module")
def made():
    return synthetic_run(n_nodes=5, n_participants=(2,), seeds=(0,), datasets=("d1",), paradigms=("unsupervised",))


@pytest.fixture(scope="module")
def written(made, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    write_results(made.results, folder / "results.parquet")
    write_summary(made.summary, folder / "summary.csv")
    return folder


@pytest.fixture
def folder(written, tmp_path):
    return shutil.copytree(written, tmp_path / "run")


def test_results_and_summary_are_enough(folder, made):
    run = read_run(folder)
    assert run.scopes == [("d1", "rigorous")]
    assert run.n_nodes("d1") == 5
    assert run.where("d1", "rigorous") == "d1 (origin unknown, 5 nodes), rigorous protocol"
    for optional in ("rounds", "costs", "similarity", "projection", "timelines", "tuning", "coldstart"):
        assert getattr(run, optional) is None
    assert run.fleets == {}
    assert run.params == {}


def test_names_of_nodes_stay_text(folder):
    (folder / "projection.csv").write_text("dataset,node,x,y\nd1,007,0.5,1.5\n")
    assert read_run(folder).projection["node"].tolist() == ["007"]


def test_a_table_without_columns_is_as_good_as_none(folder):
    (folder / "rounds.csv").write_text("\n")
    assert read_run(folder).rounds is None


@pytest.mark.parametrize("lost", ["results.parquet", "summary.csv"])
def test_a_folder_without_results_is_refused_with_the_command_that_makes_them(folder, lost):
    (folder / lost).unlink()
    with pytest.raises(UserError, match=rf"no {lost} there; give the folder that `ftl run") as refused:
        read_run(folder)
    assert str(folder) in str(refused.value)


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        read_run(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["results.parquet", "summary.csv", "fleets.json", "timelines.parquet", "params.json"])
def test_a_damaged_file_is_named(folder, name):
    (folder / name).write_text("[half a li")
    with pytest.raises(UserError, match=rf"{name}: cannot be read .* run the evaluation again"):
        read_run(folder)


def test_a_list_where_a_mapping_belongs_is_refused(folder):
    (folder / "params.json").write_text("[1]")
    with pytest.raises(UserError, match=r"params.json: cannot be read \(a mapping was expected, found list\)"):
        read_run(folder)


@pytest.mark.parametrize("racks", [["r1", None], {"n1": "r1", "n2": None}], ids=["by position", "by node"])
def test_racks_are_known_by_node(made, racks):
    card = json.loads(json.dumps({"node_ids": ["n1", "n2"], "racks": racks}))
    run = RunTables(made.results, made.summary, fleets={"d1": card, "d2": {"node_ids": ["n1"], "racks": []}})
    assert run.racks() == {"d1": {"n1": "r1", "n2": None}}
