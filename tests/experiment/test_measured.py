"""A cost is written when its work is done; what interrupted attempts had spent is in it."""

import contextlib
import json
import time
from pathlib import Path
from typing import Any

import pytest

from ftl.experiment import measured as module
from ftl.experiment.costs import COST_COLUMNS, collect_costs
from ftl.experiment.measured import COST_FILE, measured, read_cost


@pytest.fixture(autouse=True)
def no_energy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTL_ENERGY", "off")


def cost(path: Path) -> dict[str, Any]:
    found = read_cost(path)
    assert found is not None
    return found


def interrupted(path: Path, **more: Any) -> None:
    with contextlib.suppress(KeyboardInterrupt), measured(path, **more):
        time.sleep(0.5)
        raise KeyboardInterrupt


def test_a_cost_appears_when_the_work_is_done_and_leaves_no_notes(tmp_path: Path) -> None:
    with measured(tmp_path / "a" / COST_FILE):
        assert not (tmp_path / "a" / COST_FILE).exists()
    assert [path.name for path in (tmp_path / "a").iterdir()] == [COST_FILE]
    found = cost(tmp_path / "a" / COST_FILE)
    assert found["wall_seconds"] > 0
    assert (found["energy_wh"], found["energy_source"], found["resumed"]) == (None, "not measured", False)


def test_an_attempt_that_was_interrupted_is_added(tmp_path: Path) -> None:
    interrupted(tmp_path / COST_FILE)
    interrupted(tmp_path / COST_FILE)
    assert not (tmp_path / COST_FILE).exists()
    with measured(tmp_path / COST_FILE):
        pass
    found = cost(tmp_path / COST_FILE)
    assert found["resumed"] is True
    assert found["wall_seconds"] >= 1.0


def test_a_cost_that_is_done_is_not_added_to_that_of_the_next_time(tmp_path: Path) -> None:
    interrupted(tmp_path / COST_FILE)
    for _ in range(2):
        with measured(tmp_path / COST_FILE):
            pass
    assert cost(tmp_path / COST_FILE)["resumed"] is False


def test_attempts_at_other_work_are_not_added(tmp_path: Path) -> None:
    interrupted(tmp_path / COST_FILE, key="a")
    with measured(tmp_path / COST_FILE, key="b"):
        pass
    assert cost(tmp_path / COST_FILE)["resumed"] is False


def test_what_has_been_spent_is_noted_now_and_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = tmp_path / "notes"
    with measured(tmp_path / COST_FILE, notes) as note:
        begun = notes.read_bytes()
        note()
        assert notes.read_bytes() == begun, "not with every epoch"
        monkeypatch.setattr(module, "NOTE_SECONDS", 0.0)
        note()
        assert json.loads(notes.read_text())["wall_seconds"] > json.loads(begun)["wall_seconds"]


@pytest.mark.parametrize("torn", ["", "{", "[]", '{"key": ""}', '{"key": "", "wall_seconds": 1}'])
def test_torn_notes_are_no_obstacle(tmp_path: Path, torn: str) -> None:
    (tmp_path / "notes").write_text(torn)
    with measured(tmp_path / COST_FILE, tmp_path / "notes"):
        pass
    assert cost(tmp_path / COST_FILE)["resumed"] is False


def write_cost(path: Path, seconds: float, energy: float | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    source = "not measured" if energy is None else "rapl"
    content = {"wall_seconds": seconds, "cpu_seconds": 2 * seconds, "peak_memory_bytes": 4096}
    path.write_text(json.dumps(content | {"energy_wh": energy, "energy_source": source, "resumed": False}))


def test_costs_are_one_table_of_all_units(tmp_path: Path) -> None:
    write_cost(tmp_path / "fleet.cost.json", 1)
    write_cost(tmp_path / "local" / "semi_supervised-seed12" / COST_FILE, 2, energy=0.5)
    write_cost(tmp_path / "baselines" / "isolation_forest" / COST_FILE, 3)
    (tmp_path / "baselines" / "pca").mkdir()  # computed by an older version
    (tmp_path / "baselines" / "ecod").mkdir()
    (tmp_path / "baselines" / "ecod" / COST_FILE).write_text("{")
    stages = {name: tmp_path / name for name in ("baselines", "local", "federate")}
    frame = collect_costs({"d1": {"prepare": tmp_path / "fleet.cost.json", **stages}})
    assert tuple(frame.columns) == COST_COLUMNS
    written = frame.to_csv(index=False).splitlines()
    assert written[1:] == [
        "d1,prepare,prepare,,,1.0,2.0,4096,,not measured,False",
        "d1,baselines,isolation_forest,,,3.0,6.0,4096,,not measured,False",
        "d1,local,semi_supervised-seed12,semi_supervised,12,2.0,4.0,4096,0.5,rapl,False",
    ]


def test_no_cost_at_all_is_an_empty_table(tmp_path: Path) -> None:
    frame = collect_costs({"d1": {"prepare": tmp_path / "nothing", "local": tmp_path / "nothing either"}})
    assert tuple(frame.columns) == COST_COLUMNS
    assert len(frame) == 0
