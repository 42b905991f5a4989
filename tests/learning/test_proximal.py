"""Fine-tuning near the received model: Ditto's personal part (Li et al., 2021)."""

import pytest
import torch

from ftl.learning.batches import BatchSettings
from ftl.learning.optimizers import OptimizerSettings
from ftl.learning.proximal import pull
from ftl.learning.training import FineTuning
from ftl.models.network import ENCODER, ModelSettings, build_network
from ftl.models.state import split_off, take
from tests.learning.toy_stack import (
    MODEL,
    N_FEATURES,
    Interruption,
    assert_close,
    assert_same_bits,
    fit,
    interrupt_after,
    toy_rows,
    unlike_models,
)

LENGTHS = (23, 7, 40)


def tuned(rows, received, strength, frozen_encoder=False, n_epochs=3, **how):
    """Personal models, one per node, from what each has received."""

    def arguments(order):
        near = {"proximal": strength, "received": take(received, order)} if strength else {}
        return {"frozen_encoder": frozen_encoder, **near}

    return fit(rows, received, n_epochs, training=FineTuning, arguments=arguments, **how).network


def test_the_pull_is_the_gradient_of_half_the_squared_distance_of_active_nodes():
    network = build_network("autoencoder", 3, N_FEATURES, MODEL).double()
    network.load_state_dict(unlike_models(3))
    anchor = take(unlike_models(3), [1, 2, 0])
    for param in network.parameters():
        param.grad = torch.ones_like(param)
    pull(network, anchor, 0.5, n_active=2)
    for name, param in network.named_parameters():
        torch.testing.assert_close(param.grad[:2], 1 + 0.5 * (param.detach() - anchor[name])[:2])
        assert (param.grad[2:] == 1).all()


def test_a_frozen_parameter_is_not_pulled():
    network = build_network("autoencoder", 2, N_FEATURES, MODEL)
    pull(network, unlike_models(2, dtype=torch.float32), 1.0)
    assert all(param.grad is None for param in network.parameters())


@pytest.mark.parametrize("frozen_encoder", [False, True])
def test_lambda_zero_is_plain_fine_tuning_to_the_bit(frozen_encoder):
    rows, received = toy_rows(LENGTHS, torch.float32), unlike_models(3, dtype=torch.float32)
    plain = fit(rows, received, training=FineTuning, arguments=lambda order: {"frozen_encoder": frozen_encoder})
    zero = fit(
        rows,
        received,
        training=FineTuning,
        arguments=lambda order: {"frozen_encoder": frozen_encoder, "proximal": 0.0, "received": take(received, order)},
    )
    assert_same_bits(zero.network, plain.network)


def test_a_pull_needs_something_to_pull_to():
    with pytest.raises(ValueError, match="received"):
        fit(
            toy_rows(LENGTHS),
            unlike_models(3),
            training=FineTuning,
            arguments=lambda order: {"frozen_encoder": False, "proximal": 1.0},
        )


@pytest.mark.parametrize("strength", [0.05, 1.0, 1e5])
def test_a_personal_model_lies_between_its_own_optimum_and_the_global_model(strength):
    """All but the last bias v is zero and stays so: v = (a m_k + lambda w) / (a + lambda), a = 2 / F, m_k the mean of
    the node's rows, w the received bias. A large lambda is the global model, a small one local training's end."""
    rows, a = toy_rows(LENGTHS), 2 / N_FEATURES
    linear = ModelSettings(hidden=(12, 8, 4), latent=4, output="linear")
    received = {name: torch.zeros_like(value) for name, value in unlike_models(3).items()}
    received["decoder.2.bias"] += torch.tensor([[[0.1]], [[0.5]], [[0.9]]])
    descent = OptimizerSettings("rmsprop", 1e8 / (a + strength), eps=1e8)  # so large an eps divides by a constant
    end = tuned(rows, received, strength, n_epochs=25, optimizer=descent, model=linear, batches=BatchSettings(64, None))
    m = torch.stack([rows.x[rows.rows[rows.entries(k)]].mean(dim=0) for k in range(3)])
    w = received["decoder.2.bias"][:, 0]
    torch.testing.assert_close(end["decoder.2.bias"][:, 0], (a * m + strength * w) / (a + strength), rtol=1e-6, atol=0)
    if strength == 1e5:
        torch.testing.assert_close(end["decoder.2.bias"][:, 0], w, rtol=1e-4, atol=0)


@pytest.mark.parametrize("frozen_encoder", [False, True])
def test_nodes_stacked_are_nodes_alone(frozen_encoder):
    rows, received = toy_rows(LENGTHS), unlike_models(3)
    together = tuned(rows, received, 0.5, frozen_encoder)
    for node in range(3):
        alone = tuned(rows.reordered([node]), take(received, [node]), 0.5, frozen_encoder)
        assert_close(take(together, [node]), alone)
    if frozen_encoder:
        encoder, _ = split_off(together, lambda name: name.startswith(ENCODER))
        assert_same_bits(encoder, {name: received[name] for name in encoder})


def test_a_pulled_model_stays_nearer_to_the_received_one():
    rows, received = toy_rows(LENGTHS), unlike_models(3)
    far, near = (tuned(rows, received, strength)["encoder.0.weight"] for strength in (0.0, 10.0))
    distance = [(model - received["encoder.0.weight"]).flatten(1).norm(dim=1) for model in (near, far)]
    assert (distance[0] < 0.5 * distance[1]).all()


def test_an_interrupted_fine_tuning_is_pulled_to_the_same_model(tmp_path):
    rows, received = toy_rows(LENGTHS, torch.float32), unlike_models(3, dtype=torch.float32)
    checkpoint = tmp_path / "tuned.checkpoint"
    with pytest.raises(Interruption):
        tuned(rows, received, 0.5, n_epochs=5, checkpoint=checkpoint, report=interrupt_after(3))
    resumed = tuned(rows, received, 0.5, n_epochs=5, checkpoint=checkpoint)
    assert_same_bits(resumed, tuned(rows, received, 0.5, n_epochs=5))
