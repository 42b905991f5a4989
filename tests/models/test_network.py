from itertools import pairwise

import pytest
import torch

from ftl.errors import ConfigError
from ftl.models.network import ENCODER, ModelSettings, build_network, initial_state
from ftl.models.state import join, take

TINY = ModelSettings(hidden=(12, 8, 4), latent=4)
N_FEATURES = 9


def layers(state, part):
    """(n_in, n_out) of each layer of an encoder or decoder."""
    return [
        tuple(value.shape[1:]) for name, value in state.items() if name.startswith(part) and name.endswith("weight")
    ]


def test_the_default_network_is_the_papers():
    state = initial_state("autoencoder", 462, ModelSettings(), 0)
    assert layers(state, "encoder") == [(462, 100), (100, 80), (80, 60), (60, 40), (40, 20)]
    assert layers(state, "decoder") == [(20, 40), (40, 60), (60, 80), (80, 100), (100, 462)]
    assert sum(value.numel() for value in state.values()) == 125_442


def test_latent_40_moves_the_line_between_encoder_and_decoder_and_no_layer():
    near, far = (initial_state("autoencoder", 462, ModelSettings(latent=latent), 0) for latent in (20, 40))
    assert layers(far, "encoder") == [*layers(near, "encoder"), (20, 40)]
    assert layers(far, "decoder") == layers(near, "decoder")[1:]


@pytest.mark.parametrize("latent", [20, 40])
def test_the_classifier_is_the_encoder_and_one_unit(latent):
    settings = ModelSettings(latent=latent)
    classifier, autoencoder = (initial_state(kind, 573, settings, 0) for kind in ("classifier", "autoencoder"))
    assert layers(classifier, "encoder") == layers(autoencoder, "encoder")
    assert layers(classifier, "decoder") == [(latent, 1)]


@pytest.mark.parametrize("kind", ["autoencoder", "classifier"])
@pytest.mark.parametrize("hidden", [(12, 8, 4), (30, 5), (6, 6, 6, 6)])
def test_layers_fit_into_each_other(kind, hidden):
    for latent in hidden[-1], hidden[-2]:
        state = initial_state(kind, N_FEATURES, ModelSettings(hidden=hidden, latent=latent), 0)
        chain = layers(state, "encoder") + layers(state, "decoder")
        assert chain[0][0] == N_FEATURES
        assert chain[-1][1] == (1 if kind == "classifier" else N_FEATURES)
        assert all(before[1] == after[0] for before, after in pairwise(chain))


def uniform(*shape):
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def network_of(*seeds, kind="autoencoder", settings=TINY):
    network = build_network(kind, len(seeds), N_FEATURES, settings)
    network.load_state_dict(join([initial_state(kind, N_FEATURES, settings, seed) for seed in seeds]))
    return network.double()


@pytest.mark.parametrize("settings", [TINY, ModelSettings((12, 8, 4), 8), ModelSettings((12, 8, 4), 4, "linear")])
@pytest.mark.parametrize("kind", ["autoencoder", "classifier"])
def test_a_stack_gives_each_model_what_a_plain_chain_of_layers_gives(kind, settings):
    network = network_of(1, 2, 3, kind=kind, settings=settings)
    x = uniform(3, 7, N_FEATURES)
    output = network(x)
    state = network.state_dict()
    for model in range(3):
        h = x[model]
        names = [name.removesuffix(".weight") for name in state if name.endswith("weight")]
        for name in names:
            h = h @ state[f"{name}.weight"][model] + state[f"{name}.bias"][model]
            last = torch.sigmoid if kind == "classifier" or settings.output == "sigmoid" else (lambda v: v)
            h = last(h) if name == names[-1] else torch.relu(h)
        torch.testing.assert_close(output[model], h, rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", ["autoencoder", "classifier"])
def test_rows_of_one_model_are_what_the_stack_makes_of_them(kind):
    network = network_of(1, 2, 3, kind=kind)
    x = uniform(50, N_FEATURES)
    stacked = network(x.expand(3, 50, N_FEATURES))
    for model in range(3):
        torch.testing.assert_close(network.output_rows(model, x), stacked[model], rtol=1e-12, atol=0)
        codes = network.encode(x.expand(3, 50, N_FEATURES))[model]
        torch.testing.assert_close(network.encode_rows(model, x), codes, rtol=1e-12, atol=1e-15)
        assert not torch.allclose(network.output_rows(model, x), stacked[(model + 1) % 3])


def test_many_rows_are_scored_without_a_graph_and_without_a_change_to_them():
    network = network_of(1)
    x = uniform(5, N_FEATURES)
    kept = x.clone()
    assert not network.output_rows(0, x).requires_grad
    assert torch.equal(x, kept)


def test_a_batch_of_fewer_nodes_belongs_to_the_first_of_the_stack():
    network = network_of(1, 2, 3)
    x = uniform(3, 7, N_FEATURES)
    torch.testing.assert_close(network(x[:2]), network(x)[:2], rtol=1e-12, atol=0)
    network(x[:2]).sum().backward()
    for name, param in network.named_parameters():
        assert (param.grad[2] == 0).all(), name
        assert (param.grad[:2] != 0).any(), name


def test_a_nodes_gradient_holds_its_own_rows_alone():
    network = network_of(1, 2, 3)
    x = uniform(3, 7, N_FEATURES)
    network(x)[1].sum().backward()
    for name, param in network.named_parameters():
        assert (param.grad[[0, 2]] == 0).all(), name


def test_the_network_is_cut_where_encoder_and_decoder_meet():
    network = network_of(1, 2)
    x = uniform(2, 4, N_FEATURES)
    assert network.encode(x).shape == (2, 4, TINY.latent)
    assert torch.equal(network.decode(network.encode(x)), network(x))
    assert {name.split(".")[0] + "." for name in network.state_dict()} == {ENCODER, "decoder."}


def test_weights_begin_glorot_uniform_and_biases_at_zero():
    state = initial_state("autoencoder", 462, ModelSettings(), 7)
    for name, value in state.items():
        if name.endswith("bias"):
            assert (value == 0).all(), name
            continue
        bound = (6 / (value.shape[1] + value.shape[2])) ** 0.5
        assert value.abs().max() <= bound, name
        assert value.abs().max() > 0.98 * bound, name
        assert value.std() == pytest.approx(bound / 3**0.5, rel=0.06), name


def test_an_initial_state_is_its_seeds_and_large_seeds_are_taken():
    one, again, other = (initial_state("autoencoder", N_FEATURES, TINY, seed) for seed in (3, 3, 4))
    large = initial_state("autoencoder", N_FEATURES, TINY, 2**64 + 5)
    for name, value in one.items():
        assert torch.equal(value, again[name])
        if name.endswith("weight"):
            assert not torch.equal(value, other[name])
            assert not torch.equal(value, large[name])


def test_an_initial_state_leaves_torchs_own_random_numbers_alone():
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    initial_state("autoencoder", N_FEATURES, TINY, 3)
    assert torch.equal(torch.rand(3), expected)


def test_a_stack_counts_its_nodes_and_one_node_is_a_stack_of_one():
    network = network_of(1, 2, 3)
    assert network.n_nodes == 3
    alone = build_network("autoencoder", 1, N_FEATURES, TINY).double()
    alone.load_state_dict(take(network.state_dict(), [1]))
    x = uniform(3, 7, N_FEATURES)
    torch.testing.assert_close(alone(x[1:2])[0], network(x)[1], rtol=1e-12, atol=0)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"hidden": (20,)}, "model.hidden"),
        ({"hidden": ()}, "model.hidden"),
        ({"hidden": (100, 0)}, "model.hidden"),
        ({"latent": 60}, "model.latent"),
        ({"hidden": (12, 8, 4), "latent": 12}, "model.latent"),
        ({"output": "tanh"}, "model.output"),
    ],
    ids=str,
)
def test_wrong_model_settings_are_refused_by_name(wrong, named):
    with pytest.raises(ConfigError, match=named):
        ModelSettings(**wrong)
