"""Each federated method client by client in plain torch, as its paper prints it; and the engine's fit to compare."""

import torch

from ftl.experiment.federation_fit import client_weights, federated_builder
from ftl.federation.settings import FederationSettings
from ftl.learning.fit import FitState, fit_fleet
from ftl.learning.objectives import reconstruction_loss
from ftl.learning.optimizers import OptimizerSettings
from ftl.models.network import initial_state
from ftl.models.state import repeat
from tests.learning.plain_torch import PlainNetwork, mean_squared_error, train
from tests.learning.toy_stack import BATCHES, MODEL, N_FEATURES

N_ROWS = (23, 7, 40, 12, 31)
COHORTS = ((0, 1), (2, 3, 4))
RATE = 1e-2
ADAM = OptimizerSettings("adam", RATE)
N_ROUNDS = 3


def settings_of(method, **more):
    """Settings under which every method does what it does: two local epochs, a strong pull."""
    return FederationSettings(**{"n_rounds": N_ROUNDS, "n_local_epochs": 2, "method": method, "proximal": 1.0} | more)


def server_model(dtype=torch.float64):
    return {name: value.to(dtype) for name, value in initial_state("autoencoder", N_FEATURES, MODEL, 11).items()}


def method_fit(
    rows,
    federate,
    cohorts=COHORTS,
    n_epochs=None,
    start=None,
    optimizer=ADAM,
    model=MODEL,
    batches=BATCHES,
    checkpoint=None,
    report=None,
):
    """The engine's federated fit of these rows."""
    weights = client_weights(rows.n_rows(), federate)
    build = federated_builder(reconstruction_loss, optimizer, batches, cohorts, weights, federate)
    start = start or FitState(repeat(server_model(rows.x.dtype), rows.n_models))
    n_epochs = federate.n_epochs if n_epochs is None else n_epochs
    try:
        return fit_fleet(build, start, rows, n_epochs, "autoencoder", model, batches, checkpoint, 0.0, report)
    finally:
        torch.set_flush_denormal(False)


def plain_method(rows, cohort, federate, left_out=()):
    """Each client's model after the last round, by client; Adam with fresh state in every round."""
    weight_of = dict(enumerate(rows.n_rows()))
    senders = [client for client in cohort if client not in left_out]
    total = sum(weight_of[client] for client in senders)
    private = federate.method in ("fedper", "fedrep")
    shared, memory = server_model(), {}
    own = {client: {k: v for k, v in shared.items() if k.startswith("decoder")} for client in cohort}
    for round_ in range(federate.n_rounds):
        sent = {}
        for client in senders:
            begun = shared | own[client] if private else shared
            sent[client] = _local_epochs(rows, client, begun, round_, federate)
            own[client] = {k: v for k, v in sent[client].items() if k.startswith("decoder")}
        mean = {k: sum(weight_of[c] / total * sent[c][k] for c in senders) for k in shared}
        shared = _server(shared, mean, memory, federate) if federate.method in ("fedadam", "fedyogi") else mean
    return {client: shared | own[client] if private else shared for client in cohort}


def _local_epochs(rows, client, begun, round_, federate):
    network = PlainNetwork(begun, 0)
    began_with = [param.detach().clone() for param in network.parameters()]
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)

    def held_near(output, x, label, weight):
        away = sum((now - before).square().sum() for now, before in zip(network.parameters(), began_with, strict=True))
        return mean_squared_error(output, x, label, weight) + federate.proximal / 2 * away

    loss = held_near if federate.method == "fedprox" else mean_squared_error
    for epoch in range(federate.n_local_epochs):
        if federate.method == "fedrep":
            network.encoder.requires_grad_(epoch >= federate.head_epochs)
            network.decoder.requires_grad_(epoch < federate.head_epochs)
        number = round_ * federate.n_local_epochs + epoch
        train(network, optimizer, rows, client, range(number, number + 1), BATCHES.batch_size, loss)
    return network.stacked()


def _server(before, mean, memory, federate):
    b1, b2, eps = federate.server_beta1, federate.server_beta2, federate.server_eps
    after = {}
    for name, weight in before.items():
        delta = mean[name] - weight
        m, v = memory.get(name, (0 * weight, 0 * weight + eps**2))
        m = b1 * m + (1 - b1) * delta
        if federate.method == "fedadam":
            v = b2 * v + (1 - b2) * delta**2
        else:
            v = v - (1 - b2) * delta**2 * torch.sign(v - delta**2)
        memory[name] = (m, v)
        after[name] = weight + federate.server_learning_rate * m / (v**0.5 + eps)
    return after
