"""Labels from Nagios reports: rules, states, and what is said where there are none."""

from pathlib import Path

import numpy as np
import pytest

from ftl.errors import TelemetryError
from tests.data.m100.conftest import OpenRaw
from tests.data.m100.exadata import STATE, month_start, write_metric, write_states

START = month_start("21-03")


@pytest.fixture
def telemetry(tree: Path) -> Path:
    """A metric with a sample in each of the first 4 windows of nodes 1 and 2."""
    write_metric(tree, "21-03", "ambient", START + 900 * np.tile(np.arange(4), 2), np.repeat([1, 2], 4), np.ones(8))
    return tree


def labels(source, node_id: str = "1") -> list[int]:
    return source.read_node(node_id).label.tolist()


def test_reports_label_the_window_of_their_own_node(telemetry: Path, raw: OpenRaw) -> None:
    write_states(telemetry, "21-03", START + 900 * np.array([0, 1, 0, 3]) + 899, [1, 1, 2, 2], [0, 2, 2, 1])
    assert labels(raw(), "1") == [0, 1, -1, -1]
    assert labels(raw(), "2") == [1, -1, -1, 1]


@pytest.mark.parametrize(
    ("states", "label", "unknown_anomalous"),
    [([0, 2, 0], 1, 1), ([2, 3], 1, 1), ([3, 0], 0, 0), ([3], -1, 1), ([7], -1, 1), ([7, 0], 0, 0), ([1], 1, 1)],
    ids=str,
)
def test_of_several_reports_the_worst_known_state_counts(
    telemetry: Path, raw: OpenRaw, states: list[int], label: int, unknown_anomalous: int
) -> None:
    write_states(telemetry, "21-03", START + np.arange(len(states)), [1] * len(states), states)
    assert labels(raw())[0] == label
    assert labels(raw(unknown_is_anomalous=True)) == [unknown_anomalous, -1, -1, -1]
    assert raw().read_node("1").treatments == ({"unknown Nagios states read as unknown": 1} if 7 in states else {})


def test_the_rule_says_which_reports_count(telemetry: Path, raw: OpenRaw) -> None:
    write_states(
        telemetry,
        "21-03",
        START + 900 * np.array([0, 0, 1, 1, 2, 2]),
        [1] * 6,
        [0, 2, 0, 0, 3, 0],
        [STATE, "ssh::daemon"] * 3,
        ["0", "0", "0", "1", None, "5"],
    )
    assert labels(raw()) == [0, 0, -1, -1]
    assert labels(raw(label="ssh::daemon")) == [1, 0, 0, -1]
    assert labels(raw(label="worst")) == [1, 0, 0, -1]
    assert labels(raw(label="nagiosdrained")) == [0, 1, -1, -1]
    assert raw(label="nagiosdrained").read_node("1").treatments == {
        "Nagios reports without a state left out": 1,
        "unknown Nagios states read as unknown": 1,
    }


def test_labels_never_become_features(telemetry: Path, raw: OpenRaw) -> None:
    write_states(telemetry, "21-03", [START], [1], [2])
    for label in (STATE, "worst", "nagiosdrained"):
        assert raw(label=label).read_node("1").features == ("ambient_avg", "ambient_std")


def test_without_reports_all_labels_are_unknown_and_a_note_says_so(telemetry: Path, raw: OpenRaw) -> None:
    assert labels(raw()) == [-1] * 4
    assert "21-03: no Nagios reports (plugin nagios), so all its labels are unknown" in raw().notes


def test_a_service_without_reports_is_refused_beside_those_that_have_some(telemetry: Path, raw: OpenRaw) -> None:
    write_states(telemetry, "21-03", [START] * 2, [1, 2], [0, 0], [STATE, "alive::ping"])
    with pytest.raises(TelemetryError, match=r"'batch::state'; services that were found: alive::ping, batchs::client"):
        raw(label="batch::state").node_ids()


def test_reports_of_switches_and_of_other_months_label_nothing(telemetry: Path, raw: OpenRaw) -> None:
    write_states(telemetry, "21-03", [START, START, START - 900], [1, 1162, 1], [0, 2, 2])
    source = raw()
    assert source.node_ids() == ["1", "2"]
    assert labels(source) == [0, -1, -1, -1]
    assert source.read_node("1").treatments == {"rows outside their month left out": 1}
