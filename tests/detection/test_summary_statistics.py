import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from ftl.detection import CalibrationScores, DetectionSettings, FleetScores, ScoreSums
from ftl.detection.summary_statistics import federated_summary, least_error_cut
from ftl.errors import UserError


def node(normal, anomalous=(), fleet=None):
    normal = np.asarray(normal, float)
    return CalibrationScores(
        normal, np.zeros(len(normal), bool), np.arange(len(normal)), anomalous=np.asarray(anomalous, float), fleet=fleet
    )


def fleet(m0, s0, m1, s1, n0=1000, n1=50):
    return FleetScores(ScoreSums(n0, m0, n0 * s0**2), ScoreSums(n1, m1, n1 * s1**2))


def nodes_of(seed, share_anomalous=0.05):
    random = np.random.default_rng(seed)
    for k in range(6):
        n = int(random.integers(5, 400))
        few = int(share_anomalous * n) if k % 2 else 0
        yield node(random.normal(1, 0.3, n), random.normal(4, 2, few))


@pytest.mark.parametrize("share", [0.0, 0.2], ids=["no anomaly anywhere", "anomalies on some nodes"])
@pytest.mark.parametrize("seed", range(5))
def test_nodes_that_send_sums_get_the_threshold_of_the_pooled_scores(seed, share):
    nodes = list(nodes_of(seed, share))
    sent = nodes[0].sums()
    for other in nodes[1:]:
        sent = sent + other.sums()
    pooled = node(np.concatenate([n.score for n in nodes]), np.concatenate([n.anomalous for n in nodes]))
    expected = federated_summary(pooled, DetectionSettings())
    for one in nodes:
        told = node(one.score, one.anomalous, sent)
        assert federated_summary(told, DetectionSettings()) == pytest.approx(expected, rel=1e-9)


@given(s0=st.floats(0.01, 3), apart=st.floats(0.1, 20), s1=st.floats(0.01, 20), n1=st.integers(1, 400))
def test_the_cut_is_where_an_anomaly_becomes_the_likelier(s0, apart, s1, n1):
    cut = least_error_cut(fleet(1.0, s0, 1.0 + apart, s1, n1=n1))

    def odds(t):
        return (np.log(n1) + norm.logpdf(t, 1 + apart, s1)) - (np.log(1000) + norm.logpdf(t, 1, s0))

    if cut is None:
        grid = np.linspace(1.0, 1.0 + apart, 400)[1:-1]
        assert odds(1.0) >= 0 or not np.any(odds(grid) > 1e-6)
    else:
        assert cut > 1.0
        assert odds(cut) == pytest.approx(0, abs=1e-5 * (1 + apart / min(s0, s1)) ** 2)
        assert np.all(odds(np.linspace(1.0, cut, 50)[:-1]) < 1e-9)


def test_equal_spreads_and_counts_cut_half_way():
    assert least_error_cut(fleet(0, 1, 4, 1, n0=50, n1=50)) == pytest.approx(2)


def test_the_cut_errs_less_than_its_neighbours_on_normally_distributed_scores():
    random = np.random.default_rng(0)
    normal, anomalous = random.normal(1, 0.3, 5000), random.normal(4, 2, 300)

    def errors(threshold):
        return np.sum(normal > threshold) + np.sum(anomalous <= threshold)

    cut = federated_summary(node(normal, anomalous), DetectionSettings())
    assert errors(cut) < 0.9 * min(errors(cut - 0.3), errors(cut + 0.6))


def test_a_single_anomaly_borrows_the_spread_of_the_normal_scores():
    normal = np.random.default_rng(0).normal(1, 0.2, 500)
    cut = federated_summary(node(normal, [5.0]), DetectionSettings())
    assert normal.mean() + 3 * normal.std() < cut < 5.0


@pytest.mark.parametrize(
    "anomalous",
    [[], [0.1, 0.2, 0.3], list(np.random.default_rng(1).normal(1.02, 0.1, 2000))],
    ids=["none", "that score below the normal rows", "that score as the normal rows"],
)
def test_without_anomalies_that_tell_it_is_the_mean_and_some_standard_deviations(anomalous):
    normal = np.random.default_rng(0).normal(1, 0.2, 500)
    threshold = federated_summary(node(normal, anomalous), DetectionSettings(summary_spread=4))
    assert threshold == pytest.approx(normal.mean() + 4 * normal.std())


def test_a_node_without_scores_takes_the_threshold_of_its_fleet():
    sums = node(np.arange(10.0)).sums()
    threshold = federated_summary(node([], fleet=sums), DetectionSettings())
    assert threshold == pytest.approx(4.5 + 3 * np.arange(10.0).std())


def test_a_fleet_without_scores_is_refused():
    with pytest.raises(UserError, match="at least one finite training score"):
        federated_summary(node([np.nan]), DetectionSettings())
