import numpy as np
import pandas as pd
import pytest

from ftl.reporting.pictures.convergence import pictures, training_loss
from ftl.reporting.pictures.subject import Subject


@pytest.fixture
def rounds() -> pd.DataFrame:
    rows = [
        {"dataset": "d1", "paradigm": "unsupervised", "policy": "top_n", "n_participants": 3, "draw": 0, "seed": seed,
         "round": r, "train_loss": (1 + seed) / r}
        for seed in (0, 1) for r in range(1, 6)
    ]  # fmt: skip
    return pd.DataFrame(rows).astype({"n_participants": "Int64"})


def test_training_loss_is_the_mean_over_seeds(rounds: pd.DataFrame) -> None:
    axes = training_loss(rounds, "d1").axes[0]
    (line,) = axes.lines
    np.testing.assert_allclose(line.get_ydata(), [1.5 / r for r in range(1, 6)])
    assert line.get_label() == "top_n, N = 3"
    assert axes.get_yscale() == "log"


def test_losses_of_one_order_of_magnitude_or_below_zero_have_a_linear_scale(rounds: pd.DataFrame) -> None:
    for shift in (5.0, -5.0):
        moved = rounds.assign(train_loss=rounds["train_loss"] + shift)
        assert training_loss(moved, "d1").axes[0].get_yscale() == "linear"


def test_the_caption_says_where_the_loss_was_still_falling(subject: Subject) -> None:
    (picture,) = pictures(subject)
    assert "still fell by more than 2% in 2 of 2 lines (unsupervised)" in picture.caption


def test_no_recorded_loss_draws_nothing(rounds: pd.DataFrame) -> None:
    assert training_loss(rounds.iloc[:0], "d1") is None
    assert training_loss(rounds.assign(train_loss=np.nan), "d1") is None
