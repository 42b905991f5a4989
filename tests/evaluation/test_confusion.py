from math import isnan

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef, precision_score, recall_score

from ftl.evaluation.confusion import Confusion, confusion


def test_counts_of_a_worked_example():
    flagged = np.array([True, True, False, False, True])
    assert confusion(flagged, np.array([1, 0, 0, 1, 1])) == Confusion(tp=2, fp=1, tn=1, fn=1)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_metrics_agree_with_sklearn(rows):
    flagged, label = (np.array(column) for column in zip(*rows, strict=True))
    label = label.astype(np.int8)
    label[0] = 1  # with an anomaly all but precision and TNR are defined
    c = confusion(flagged, label)
    assert c.f1 == pytest.approx(f1_score(label, flagged))
    assert c.recall == pytest.approx(recall_score(label, flagged))
    assert c.accuracy == pytest.approx(accuracy_score(label, flagged))
    if flagged.any():
        assert c.precision == pytest.approx(precision_score(label, flagged))
    if (label == 0).any():
        assert c.tnr == pytest.approx(recall_score(label, flagged, pos_label=0, zero_division=0))
        assert c.mcc == pytest.approx(matthews_corrcoef(label, flagged))


def test_without_anomalies_only_tnr_and_accuracy_are_defined():
    c = Confusion(tp=0, fp=1, tn=3, fn=0)
    assert all(isnan(value) for value in (c.precision, c.recall, c.f1, c.mcc))
    assert (c.tnr, c.accuracy) == (0.75, 0.75)


def test_a_detector_that_never_flags_has_f1_and_mcc_zero_and_no_precision():
    c = Confusion(tp=0, fp=0, tn=8, fn=2)
    assert isnan(c.precision)
    assert (c.recall, c.f1, c.mcc) == (0.0, 0.0, 0.0)


def test_without_normal_rows_the_tnr_is_undefined():
    c = Confusion(tp=2, fp=0, tn=0, fn=1)
    assert isnan(c.tnr)
    assert (c.f1, c.mcc) == (0.8, 0.0)


def test_f1_is_not_accuracy():
    """The published counts whose accuracy .960251 was printed as "F1"; the positive-class F1 is .287."""
    c = Confusion(tp=74_370, fp=355_678, tn=8_861_805, fn=14_232)
    assert c.accuracy == pytest.approx(0.960251, abs=5e-7)
    assert c.f1 == pytest.approx(0.287, abs=5e-4)
