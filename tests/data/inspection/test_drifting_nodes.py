import numpy as np

from ftl.data.inspection import Description, inspect_fleet
from tests.data.small_fleet import Tables, table


def findings_of(*ramps: float, time_unit: str = "seconds") -> list[str]:
    tables = []
    for number, ramp in enumerate(ramps):
        plain = table(f"n{number}", 1200)
        plain.values[:, 0] += np.linspace(0, ramp, 1200)
        plain.values[::7, 1] = np.nan
        tables.append(plain)
    found = Description(inspect_fleet(Tables(tables, time_unit=time_unit))).findings
    return [
        f"{one.what} | {one.where} | {one.advice}" for one in found if "drifts" in one.what or "nodes drift" in one.what
    ]


def test_nodes_that_drift_are_named_and_what_to_set() -> None:
    (said,) = findings_of(0.0, 15.0, 0.0)
    assert said.startswith("1 node drifts within the train part; 3 can be told | node n1: ")
    assert "prepare.rebase=drifting" in said
    (said,) = findings_of(15.0, 15.0, 0.0)
    assert "2 nodes drift" in said
    assert "prepare.rebase=fleet" in said


def test_a_fleet_that_stays_is_not_said_to_drift() -> None:
    assert findings_of(0.0, 0.0) == []


def test_rebasing_is_not_advised_without_what_it_needs_where_steps_have_no_length() -> None:
    (said,) = findings_of(0.0, 15.0, 0.0, time_unit="steps")
    assert said.endswith("it needs window_minutes in fleet.yaml")
