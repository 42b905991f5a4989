"""A study's metrics of one node: rows of unknown label are left out, what cannot be said is NaN."""

import numpy as np
import pytest

from ftl.studies.judging import METRICS, judge
from ftl.studies.telemetry import NodeTelemetry

TIME = np.arange(8) * 3600


def node_of(label: list[int]) -> NodeTelemetry:
    n = len(label)
    none = np.zeros((0, 1), np.float32)
    test = np.zeros((n, 1), np.float32)
    return NodeTelemetry(0, none, np.zeros(0), test, TIME[:n], np.array(label, np.int8), np.zeros(1, bool))


SCORE = np.array([1.0, 9.0, 2.0, 8.0, 1.0, 1.0, 7.0, 1.0])


def test_known_numbers() -> None:
    found = judge(node_of([0, 0, 0, 1, 1, 0, 0, 0]), SCORE, 5.0, 1.0)
    assert tuple(found) == METRICS
    assert found["precision"] == pytest.approx(1 / 3)
    assert found["recall"] == 0.5
    assert found["f1"] == pytest.approx(0.4)
    assert found["fpr"] == pytest.approx(2 / 6)
    assert found["event_recall"] == 1.0
    assert found["alarms_per_node_day"] == pytest.approx(3 / (8 / 24))
    assert (found["n_test_rows"], found["n_test_anomalies"]) == (8, 2)


def test_rows_of_unknown_label_count_nowhere() -> None:
    with_unknown = judge(node_of([0, -1, 0, 1, 1, 0, -1, 0]), SCORE, 5.0, 1.0)
    assert (with_unknown["fpr"], with_unknown["precision"], with_unknown["n_test_rows"]) == (0.0, 1.0, 6)


def test_a_threshold_per_row() -> None:
    threshold = np.where(np.arange(8) == 1, 10.0, 5.0)
    assert judge(node_of([0, 0, 0, 1, 1, 0, 0, 0]), SCORE, threshold, 1.0)["fpr"] == pytest.approx(1 / 6)


def test_a_score_at_the_threshold_is_no_alarm() -> None:
    assert judge(node_of([0] * 8), np.full(8, 5.0), 5.0, 1.0)["fpr"] == 0.0


def test_a_node_without_test_anomalies_has_false_alarms_alone() -> None:
    found = judge(node_of([0] * 8), SCORE, 5.0, 1.0)
    assert found["fpr"] == 3 / 8
    assert found["alarms_per_node_day"] == pytest.approx(9.0)
    assert all(np.isnan(found[name]) for name in ("f1", "recall", "auroc", "auprc", "event_recall"))
    assert found["n_test_anomalies"] == 0


def test_a_node_without_a_test_row_has_nothing() -> None:
    found = judge(node_of([]), SCORE[:0], 5.0, 1.0)
    assert found["n_test_rows"] == 0
    assert all(np.isnan(value) for name, value in found.items() if not name.startswith("n_"))
