"""A hopeless trial is given up, a good one never, and only on what was known when it was proposed."""

import pytest

from ftl.tuning.pruning import Rivals

GOOD = [{1: 0.4, 3: 0.5}, {1: 0.42, 3: 0.52}, {1: 0.38, 3: 0.47}, {1: 0.41, 3: 0.5}]
BEST = {node: 0.5 + node / 100 for node in range(10)}


def test_below_the_median_after_a_round_is_too_bad() -> None:
    rivals = Rivals(tuple(GOOD), None, prune_rounds=True)
    assert rivals.too_bad_after([(1, 0.05)])
    assert not rivals.too_bad_after([(1, 0.6)])
    assert not Rivals(tuple(GOOD), None, prune_rounds=False).too_bad_after([(1, 0.05)])


def test_too_few_finished_trials_tell_nothing() -> None:
    assert not Rivals(tuple(GOOD[:3]), None, prune_rounds=True).too_bad_after([(1, 0.05)])


def test_worse_on_node_after_node_is_given_up_before_the_last() -> None:
    rivals = Rivals((), BEST, prune_nodes=True)
    worse = {node: value - 0.1 for node, value in BEST.items()}
    given_up = [n for n in range(1, 11) if rivals.worse_on_nodes(dict(list(worse.items())[:n]))]
    assert given_up[0] == 4
    assert not rivals.worse_on_nodes({node: value + 0.1 for node, value in BEST.items()})


@pytest.mark.parametrize("best", [None, {}])
def test_without_a_best_trial_nothing_is_given_up(best: dict[int, float] | None) -> None:
    assert not Rivals((), best, prune_nodes=True).worse_on_nodes(dict.fromkeys(range(9), 0.0))


def test_as_bad_on_one_node_as_better_on_the_others_stays() -> None:
    values = {node: value + (0.01 if node else -0.4) for node, value in BEST.items()}
    assert not Rivals((), BEST, prune_nodes=True).worse_on_nodes(values)
