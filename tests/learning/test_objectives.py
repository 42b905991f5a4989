import pytest
import torch

from ftl.learning.objectives import (
    REPULSION_MARGIN,
    SEMI_SUPERVISED_LOSSES,
    SUPERVISED_LOSSES,
    cross_entropy,
    hinge_loss,
    inverse_loss,
    reconstruction_loss,
    squared_head_error,
)

X = torch.tensor([[[0.0, 1.0], [0.5, 0.5], [0.2, 0.2]]])  # (1, 3, 2)
OUTPUT = torch.tensor([[[0.1, 0.9], [0.5, 0.1], [0.2, 0.2]]])
ERRORS = [0.01, 0.08, 0.0]
LABEL = torch.tensor([[0.0, 1.0, 1.0]])


def test_the_reconstruction_loss_is_the_mean_over_features_whatever_the_label():
    expected = torch.tensor([ERRORS])
    torch.testing.assert_close(reconstruction_loss(OUTPUT, X, LABEL), expected)
    torch.testing.assert_close(reconstruction_loss(OUTPUT, X, 1 - LABEL), expected)


def test_the_hinge_asks_of_a_labelled_anomaly_what_it_lacks_to_the_margin():
    expected = torch.tensor([[0.01, REPULSION_MARGIN - 0.08, REPULSION_MARGIN]])
    torch.testing.assert_close(hinge_loss(OUTPUT, X, LABEL), expected)


def test_the_hinge_lets_go_of_an_anomaly_beyond_the_margin_and_pulls_on_one_within():
    output = torch.tensor([[[0.9, 0.9], [0.25, 0.2]]], requires_grad=True)  # errors .49 and .00125
    x = torch.full((1, 2, 2), 0.2)
    hinge_loss(output, x, torch.ones(1, 2)).sum().backward()
    assert (output.grad[0, 0] == 0).all()
    assert output.grad[0, 1, 0] < 0, "a step downhill must lead away from the anomaly"


@pytest.mark.parametrize("loss", [hinge_loss, inverse_loss], ids=["hinge", "inverse"])
def test_a_labelled_anomaly_costs_less_the_worse_it_is_reconstructed_and_a_normal_row_more(loss):
    x = torch.zeros(1, 4, 1)
    output = torch.tensor([[[0.0], [0.1], [0.2], [0.3]]])
    assert (loss(output, x, torch.ones(1, 4)).diff() < 0).all()
    assert (loss(output, x, torch.zeros(1, 4)).diff() > 0).all()


def test_the_inverse_loss_is_bounded_by_one():
    torch.testing.assert_close(inverse_loss(OUTPUT, X, LABEL), torch.tensor([[0.01, 0.001 / 0.081, 1.0]]))


def test_head_losses_are_their_formulas():
    head = torch.tensor([[[0.2], [0.9], [0.5]]])
    torch.testing.assert_close(cross_entropy(head, X, LABEL), -torch.log(torch.tensor([[0.8, 0.9, 0.5]])))
    torch.testing.assert_close(squared_head_error(head, X, LABEL), torch.tensor([[0.04, 0.01, 0.25]]))


@pytest.mark.parametrize("name", [*SEMI_SUPERVISED_LOSSES, *SUPERVISED_LOSSES])
def test_a_loss_gives_one_finite_number_per_row_that_no_other_row_touches(name):
    loss = (SEMI_SUPERVISED_LOSSES | SUPERVISED_LOSSES)[name]
    random = torch.Generator().manual_seed(0)
    x = torch.rand(2, 6, 4, generator=random)
    output = torch.rand(2, 6, 1 if name in SUPERVISED_LOSSES else 4, generator=random)
    label = torch.tensor([[0.0, 1, 0, 1, 0, 1]] * 2)
    before = loss(output, x, label)
    assert before.shape == (2, 6)
    assert torch.isfinite(before).all()
    output[1, 3], label[1, 3] = 0.123, 0.0
    changed = loss(output, x, label) != before
    assert changed.sum() == 1
    assert changed[1, 3]
