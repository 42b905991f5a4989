"""Who is a target of a study, and who takes part."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ftl.errors import ConfigError
from ftl.studies.folds import make_folds


@settings(max_examples=20)
@given(st.integers(2, 40), st.integers(1, 8), st.integers(1, 12), st.lists(st.integers(0, 99), min_size=1, unique=True))
def test_every_node_is_a_target_once_per_seed_and_of_a_cohort_that_never_saw_it(n_nodes, n_folds, n, seeds) -> None:
    folds = make_folds(n_nodes, n_folds, n, seeds)
    for seed in seeds:
        of_seed = [fold for fold in folds if fold.seed == seed]
        assert sorted(node for fold in of_seed for node in fold.targets) == list(range(n_nodes))
    for fold in folds:
        assert fold.targets
        assert not set(fold.targets) & set(fold.candidates)
        assert sorted(fold.targets + fold.candidates) == list(range(n_nodes))
        assert set(fold.participants) <= set(fold.candidates)
        assert len(fold.participants) == min(n, len(fold.candidates))
        assert list(fold.participants) == sorted(set(fold.participants))
    assert len({fold.name for fold in folds}) == len(folds)


def test_a_fold_depends_on_its_seed_alone() -> None:
    assert make_folds(12, 3, 4, [7]) == [fold for fold in make_folds(12, 3, 4, [3, 7]) if fold.seed == 7]
    assert make_folds(12, 3, 4, [7]) != make_folds(12, 3, 4, [3])
    assert {fold.participants for fold in make_folds(12, 3, 4, [7])} != {(0, 1, 2, 3)}


def test_one_node_is_no_federation() -> None:
    with pytest.raises(ConfigError, match="at least 2 nodes.*got 1"):
        make_folds(1, 3, 2, [0])
