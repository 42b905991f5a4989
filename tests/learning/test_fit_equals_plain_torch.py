"""K stacked fits under Lightning are K separate fits in plain torch (float64, nodes of unequal length)."""

from functools import partial

import pytest
import torch

from ftl.learning.batches import BatchSettings
from ftl.learning.fit import FitState
from ftl.learning.objectives import (
    REPULSION_MARGIN,
    SEMI_SUPERVISED_LOSSES,
    SUPERVISED_LOSSES,
    cross_entropy,
    reconstruction_loss,
)
from ftl.learning.optimizers import OptimizerSettings
from ftl.learning.training import FineTuning
from ftl.models.network import ENCODER, ModelSettings, initial_state
from ftl.models.state import join, repeat, split_off, take
from tests.learning.plain_torch import KerasRMSprop, PlainNetwork, mean_squared_error, train, weighted_cross_entropy
from tests.learning.toy_stack import BATCHES, MODEL, N_FEATURES, N_ROWS, assert_close, fit, toy_rows, unlike_models

N_EPOCHS = 3
RATE = 1e-2

OPTIMIZERS = {
    "adam": (OptimizerSettings("adam", RATE), partial(torch.optim.Adam, lr=RATE)),
    "rmsprop": (OptimizerSettings("rmsprop", RATE), partial(torch.optim.RMSprop, lr=RATE)),
    "rmsprop, torch's own": (
        OptimizerSettings("rmsprop", RATE, backend="torch"),
        partial(torch.optim.RMSprop, lr=RATE),
    ),
    "rmsprop, other settings": (
        OptimizerSettings("rmsprop", RATE, alpha=0.8, eps=1e-4),
        partial(torch.optim.RMSprop, lr=RATE, alpha=0.8, eps=1e-4),
    ),
    "rmsprop, eps inside the root as in Keras": (
        OptimizerSettings("rmsprop", RATE, alpha=0.9, eps=1e-7, eps_inside_root=True),
        partial(KerasRMSprop, learning_rate=RATE, rho=0.9, epsilon=1e-7),
    ),
    "adam, other settings": (
        OptimizerSettings("adam", RATE, beta1=0.5, beta2=0.9, eps=1e-4),
        partial(torch.optim.Adam, lr=RATE, betas=(0.5, 0.9), eps=1e-4),
    ),
}
EACH_OPTIMIZER = pytest.mark.parametrize(("settings", "plain"), OPTIMIZERS.values(), ids=OPTIMIZERS)


def plain_fits(
    rows, start, plain_optimizer, n_epochs=N_EPOCHS, loss=mean_squared_error, output="sigmoid", max_steps=None
):
    """Every node by itself; its end state and mean losses."""
    networks, losses = [], []
    for model in range(rows.n_models):
        network = PlainNetwork(start, model, output)
        optimizer = plain_optimizer(network.parameters())
        losses.append(train(network, optimizer, rows, model, range(n_epochs), BATCHES.batch_size, loss, max_steps))
        networks.append(network.stacked())
    return FitState(join(networks), losses=torch.tensor(losses, dtype=torch.float64).T)


def assert_moved(end, start):
    """An equality of two fits says nothing where nothing was learned."""
    for name, value in end.items():
        assert (value - start[name]).abs().flatten(1).amax(dim=1).min() > 1e-3, name


@EACH_OPTIMIZER
def test_stacked_fits_equal_separate_torch_fits(settings, plain):
    rows, start = toy_rows(), unlike_models(len(N_ROWS))
    stacked = fit(rows, start, N_EPOCHS, settings)
    separate = plain_fits(rows, start, plain)
    assert_moved(stacked.network, start)
    assert_close(stacked.network, separate.network)
    torch.testing.assert_close(stacked.losses, separate.losses, rtol=1e-10, atol=0)


def test_torchs_own_adam_equals_separate_torch_fits_where_nodes_are_of_equal_length():
    rows, start = toy_rows((18, 20, 16)), unlike_models(3)
    settings = OptimizerSettings("adam", RATE, backend="torch")
    separate = plain_fits(rows, start, partial(torch.optim.Adam, lr=RATE))
    assert_close(fit(rows, start, N_EPOCHS, settings).network, separate.network)


@pytest.mark.parametrize("max_steps", [1, 4])
def test_a_cap_on_steps_cuts_each_node_as_it_would_cut_a_separate_fit(max_steps):
    rows, start = toy_rows(), unlike_models(len(N_ROWS))
    batches = BatchSettings(BATCHES.batch_size, max_steps)
    separate = plain_fits(rows, start, partial(torch.optim.Adam, lr=RATE), max_steps=max_steps)
    assert_close(fit(rows, start, N_EPOCHS, batches=batches).network, separate.network)


def test_a_fit_that_goes_on_from_another_equals_one_long_torch_fit():
    rows, start = toy_rows(), unlike_models(len(N_ROWS))
    first = fit(rows, start, 2)
    both = fit(rows, first, 5)
    separate = plain_fits(rows, start, partial(torch.optim.Adam, lr=RATE), n_epochs=5)
    assert (both.epoch, both.losses.shape) == (5, (5, len(N_ROWS)))
    assert_close(both.network, separate.network)


@pytest.mark.parametrize(("latent", "output"), [(8, "sigmoid"), (4, "linear")])
def test_other_readings_of_the_network_equal_separate_torch_fits(latent, output):
    model = ModelSettings(hidden=MODEL.hidden, latent=latent, output=output)
    start = join([initial_state("autoencoder", N_FEATURES, model, seed) for seed in range(3)])
    start = {name: value.double() for name, value in start.items()}
    rows = toy_rows()
    separate = plain_fits(rows, start, partial(torch.optim.Adam, lr=RATE), output=output)
    assert_close(fit(rows, start, N_EPOCHS, model=model).network, separate.network)


@pytest.mark.parametrize("latent", [4, 8])
@EACH_OPTIMIZER
def test_decoder_only_fine_tuning_equals_a_torch_loop_with_a_frozen_encoder(settings, plain, latent):
    model = ModelSettings(hidden=MODEL.hidden, latent=latent)
    received = initial_state("autoencoder", N_FEATURES, model, 5)
    rows = toy_rows()
    start = repeat({name: value.double() for name, value in received.items()}, rows.n_models)
    stacked = fit(
        rows,
        start,
        N_EPOCHS,
        settings,
        model=model,
        training=FineTuning,
        arguments=lambda order: {"frozen_encoder": True},
    )
    for node in range(rows.n_models):
        network = PlainNetwork(start, node)
        network.encoder.requires_grad_(False)
        train(network, plain(network.decoder.parameters()), rows, node, range(N_EPOCHS), BATCHES.batch_size)
        assert_close(take(stacked.network, [node]), network.stacked())
    assert_moved(split_off(stacked.network, lambda name: name.startswith(ENCODER))[1], start)


def test_full_fine_tuning_equals_a_torch_loop_over_all_parameters():
    rows, start = toy_rows(), unlike_models(len(N_ROWS))
    stacked = fit(rows, start, N_EPOCHS, training=FineTuning, arguments=lambda order: {"frozen_encoder": False})
    assert_close(stacked.network, plain_fits(rows, start, partial(torch.optim.Adam, lr=RATE)).network)


@EACH_OPTIMIZER
def test_stacked_classifiers_with_row_weights_equal_separate_torch_fits(settings, plain):
    rows, start = toy_rows(weighted=True), unlike_models(len(N_ROWS), "classifier")
    stacked = fit(rows, start, N_EPOCHS, settings, cross_entropy, "classifier")
    separate = plain_fits(rows, start, plain, loss=weighted_cross_entropy)
    assert_moved(stacked.network, start)
    assert_close(stacked.network, separate.network)


def test_a_classifiers_head_alone_is_fine_tuned_as_in_a_torch_loop():
    rows, start = toy_rows(weighted=True), unlike_models(len(N_ROWS), "classifier")
    stacked = fit(
        rows, start, N_EPOCHS, None, cross_entropy, "classifier", training=FineTuning,
        arguments=lambda order: {"frozen_encoder": True},
    )  # fmt: skip
    for node in range(rows.n_models):
        network = PlainNetwork(start, node)
        optimizer = torch.optim.Adam(network.decoder.parameters(), lr=RATE)
        train(network, optimizer, rows, node, range(N_EPOCHS), BATCHES.batch_size, weighted_cross_entropy)
        head = network.stacked()
        assert_close(
            take(stacked.network, [node]), head | take(split_off(start, lambda n: n.startswith(ENCODER))[0], [node])
        )


def _weighted(of_row):
    """A plain loss from one row's loss: the weighted sum of rows over their number."""

    def loss(output, x, label, weight):
        return sum(weight[i] * of_row(((output[i] - x[i]) ** 2).mean(), label[i]) for i in range(len(x))) / len(x)

    return loss


def _squared_head_error(output, x, label, weight):
    return sum(weight[i] * (output[i, 0] - label[i]) ** 2 for i in range(len(x))) / len(x)


PLAIN_LOSSES = {
    "hinge": _weighted(lambda e, label: e if label == 0 else (REPULSION_MARGIN - e).clamp(min=0)),
    "inverse": _weighted(lambda e, label: e if label == 0 else 0.001 / (e + 0.001)),
    "include_as_normal": _weighted(lambda e, label: e),
    "bce": weighted_cross_entropy,
    "mse": _squared_head_error,
}


@pytest.mark.parametrize("name", [*SEMI_SUPERVISED_LOSSES, *SUPERVISED_LOSSES])
def test_every_loss_trains_as_its_formula_does_in_a_torch_loop(name):
    kind = "classifier" if name in SUPERVISED_LOSSES else "autoencoder"
    objective = (SUPERVISED_LOSSES | SEMI_SUPERVISED_LOSSES)[name]
    rows, start = toy_rows(weighted=True), unlike_models(len(N_ROWS), kind)
    stacked = fit(rows, start, 2, None, objective, kind)
    separate = plain_fits(rows, start, partial(torch.optim.Adam, lr=RATE), 2, PLAIN_LOSSES[name])
    assert_close(stacked.network, separate.network)


def test_row_weights_enter_the_loss_of_an_autoencoder_too():
    rows, start = toy_rows(weighted=True), unlike_models(len(N_ROWS))
    weighted = plain_fits(rows, start, partial(torch.optim.Adam, lr=RATE), 1, PLAIN_LOSSES["include_as_normal"])
    assert_close(fit(rows, start, 1, None, reconstruction_loss).network, weighted.network)
