"""What a fit owes to whoever runs it: the same bits, nodes apart, a frozen encoder, and no lost work."""

from dataclasses import replace

import pytest
import torch

from ftl.learning.batches import BatchSettings
from ftl.learning.fit import FitState, read_fit_state, with_codes, write_fit_state
from ftl.learning.optimizers import OptimizerSettings
from ftl.learning.training import FineTuning
from ftl.models.network import ENCODER, build_network, initial_state
from ftl.models.state import repeat, split_off, take
from tests.learning.toy_stack import (
    MODEL,
    N_FEATURES,
    N_ROWS,
    Interruption,
    assert_close,
    assert_same_bits,
    fit,
    interrupt_after,
    toy_rows,
    unlike_models,
    without_gpu,
)

FROZEN = {"training": FineTuning, "arguments": lambda order: {"frozen_encoder": True}}
WHOLE = {"training": FineTuning, "arguments": lambda order: {"frozen_encoder": False}}
RMSPROP = {"optimizer": OptimizerSettings("rmsprop", 1e-2)}
TORCHS_RMSPROP = {"optimizer": OptimizerSettings("rmsprop", 1e-2, backend="torch")}
KINDS_OF_FIT = pytest.mark.parametrize(
    "how",
    [{}, RMSPROP, TORCHS_RMSPROP, FROZEN, WHOLE],
    ids=["adam", "rmsprop", "torch's rmsprop", "frozen encoder", "full fine-tuning"],
)

WHO_ELSE = pytest.mark.parametrize("how", [{}, RMSPROP, FROZEN], ids=["adam", "rmsprop", "frozen encoder"])
LONGER = (70, 20, 130)
EVEN_BATCHES = BatchSettings(32, None)
"""torch's vectorised sigmoid rounds the last few numbers of a tensor otherwise; 32, 64, ... rows leave no such rest."""


def assert_same_fit(one: FitState, other: FitState) -> None:
    assert one.epoch == other.epoch
    assert_same_bits(one.network, other.network)
    assert_same_bits(one.optimizer, other.optimizer)
    assert torch.equal(one.losses, other.losses)
    assert torch.equal(one.excluded, other.excluded)


def equal_models(seed: int, dtype: torch.dtype = torch.float32, n: int = len(N_ROWS)) -> dict[str, torch.Tensor]:
    return repeat({k: v.to(dtype) for k, v in initial_state("autoencoder", N_FEATURES, MODEL, seed).items()}, n)


# the same bits


@KINDS_OF_FIT
def test_the_same_seed_gives_the_same_bits(how):
    rows = toy_rows(dtype=torch.float32)
    assert_same_fit(fit(rows, equal_models(3), **how), fit(rows, equal_models(3), **how))


def test_another_seed_of_the_initial_state_gives_another_model():
    rows = toy_rows(dtype=torch.float32)
    one, other = fit(rows, equal_models(3)).network, fit(rows, equal_models(4)).network
    for name, value in one.items():
        assert not torch.equal(value, other[name]), name


def test_another_seed_of_the_row_order_gives_another_model_for_that_node_alone():
    rows = toy_rows(dtype=torch.float32)
    reseeded = replace(rows, seeds=(rows.seeds[0], 999, rows.seeds[2]))
    one, other = fit(rows, equal_models(3)).network, fit(reseeded, equal_models(3)).network
    assert_same_bits(take(one, [0, 2]), take(other, [0, 2]))
    assert not torch.equal(one["encoder.0.weight"][1], other["encoder.0.weight"][1])


def test_a_fit_leaves_its_start_and_its_rows_alone():
    rows, start = toy_rows(), unlike_models(3)
    kept, x = {name: value.clone() for name, value in start.items()}, rows.x.clone()
    fit(rows, start)
    assert_same_bits(start, kept)
    assert torch.equal(rows.x, x)


# nodes apart


@KINDS_OF_FIT
def test_one_nodes_rows_never_touch_anothers_weights(how):
    rows, start = toy_rows(dtype=torch.float32), unlike_models(3, dtype=torch.float32)
    changed = rows.x.clone()
    mine = rows.rows[rows.entries(1)]
    changed[mine] = 1 - changed[mine]
    one, other = fit(rows, start, **how).network, fit(replace(rows, x=changed), start, **how).network
    assert_same_bits(take(one, [0, 2]), take(other, [0, 2]))
    assert not torch.equal(one["decoder.0.weight"][1], other["decoder.0.weight"][1])


@WHO_ELSE
def test_who_else_is_in_the_stack_does_not_touch_a_nodes_bits(how):
    rows, start = toy_rows(LONGER, torch.float32), unlike_models(3, dtype=torch.float32)
    together = fit(rows, start, batches=EVEN_BATCHES, **how)
    for nodes in ([0], [1], [2], [2, 0], [1, 2]):
        fewer = fit(rows.reordered(nodes), take(start, nodes), batches=EVEN_BATCHES, **how)
        assert_same_bits(fewer.network, take(together.network, nodes))


@WHO_ELSE
def test_how_many_rows_a_node_has_does_not_touch_anothers_bits(how):
    """Node 1 has one step an epoch, then six: it moves from the end of the stack to its head."""
    rows, start = toy_rows(LONGER, torch.float32), unlike_models(3, dtype=torch.float32)
    few = fit(rows, start, batches=EVEN_BATCHES, **how).network
    mine, more = rows.rows[rows.entries(1)], 180
    table = torch.cat([rows.rows[rows.entries(0)], mine.repeat(9)[:more], rows.rows[rows.entries(2)]])
    longer = replace(
        rows,
        rows=table,
        start=(0, 70, 70 + more, len(table)),
        label=torch.zeros(len(table)),
        weight=torch.ones(len(table)),
    )
    many = fit(longer, start, batches=EVEN_BATCHES, **how).network
    assert_same_bits(take(few, [0, 2]), take(many, [0, 2]))
    assert not torch.equal(few["decoder.0.weight"][1], many["decoder.0.weight"][1])


def test_a_node_whose_training_diverges_takes_no_other_with_it():
    rows, start = toy_rows(dtype=torch.float32), unlike_models(3, dtype=torch.float32)
    spoilt = rows.x.clone()
    spoilt[rows.rows[rows.entries(2)][0]] = float("nan")
    whole, hurt = fit(rows, start).network, fit(replace(rows, x=spoilt), start).network
    assert_same_bits(take(whole, [0, 1]), take(hurt, [0, 1]))
    assert torch.isnan(hurt["decoder.0.weight"][2]).any()


def test_models_come_back_in_the_callers_order_whatever_their_lengths():
    rows, start = toy_rows(), unlike_models(3)
    together = fit(rows, start)
    turned = fit(rows.reordered([1, 2, 0]), take(start, [1, 2, 0]))
    assert_same_bits(take(together.network, [1, 2, 0]), turned.network)
    assert_same_bits({name: value[[1, 2, 0]] for name, value in together.optimizer.items()}, turned.optimizer)
    assert torch.equal(together.losses[:, [1, 2, 0]], turned.losses)


# the frozen encoder


@pytest.mark.parametrize("kind", ["autoencoder", "classifier"])
def test_decoder_only_fine_tuning_leaves_the_encoder_as_it_was_to_the_bit(kind):
    rows, start = toy_rows(dtype=torch.float32), unlike_models(3, kind, torch.float32)
    end = fit(rows, start, kind=kind, objective=lambda o, x, y: (o[..., :1] - 0.5).square().mean(-1), **FROZEN)
    encoder, decoder = split_off(end.network, lambda name: name.startswith(ENCODER))
    assert encoder
    for name, value in encoder.items():
        assert torch.equal(value, start[name]), name
    for name, value in decoder.items():
        assert not torch.equal(value, start[name]), name


def test_full_fine_tuning_moves_the_encoder():
    rows, start = toy_rows(dtype=torch.float32), unlike_models(3, dtype=torch.float32)
    end = fit(rows, start, **WHOLE).network
    for name, value in end.items():
        assert not torch.equal(value, start[name]), name


class CodesEveryStep(FineTuning):
    """Decoder-only fine-tuning that encodes each batch anew."""

    def _output(self, x, entries):
        return self.network(x)


def test_codes_computed_once_train_the_decoder_as_codes_of_every_batch_do():
    rows, start = toy_rows(), unlike_models(3)
    anew = {"training": CodesEveryStep, "arguments": lambda order: {"frozen_encoder": True}}
    assert_close(fit(rows, start, **FROZEN).network, fit(rows, start, **anew).network, rtol=1e-10)


def test_cached_codes_are_each_nodes_own_encoding_of_its_own_rows():
    rows = toy_rows()
    network = build_network("autoencoder", 3, N_FEATURES, MODEL).double()
    network.load_state_dict(unlike_models(3))
    codes = with_codes(rows, network).codes
    assert codes is not None
    for node in range(3):
        x = rows.x[rows.rows[rows.entries(node)]]
        everyones = network.encode(x.expand(3, *x.shape))
        torch.testing.assert_close(codes[rows.entries(node)], everyones[node], rtol=1e-12, atol=1e-15)
        assert not torch.allclose(codes[rows.entries(node)], everyones[(node + 1) % 3])


def test_a_frozen_encoder_carries_no_optimizer_state():
    rows, start = toy_rows(), unlike_models(3)
    frozen, whole = fit(rows, start, **FROZEN).optimizer, fit(rows, start, **WHOLE).optimizer
    assert 0 < len(frozen) < len(whole)


# no lost work


@KINDS_OF_FIT
@pytest.mark.parametrize("epoch", [2, 3])
def test_an_interrupted_fit_goes_on_to_the_same_bits(how, epoch, tmp_path):
    rows, start = toy_rows(dtype=torch.float32), unlike_models(3, dtype=torch.float32)
    checkpoint = tmp_path / "fit" / "local.checkpoint"
    whole = fit(rows, start, 5, **how)
    with pytest.raises(Interruption):
        fit(rows, start, 5, checkpoint=checkpoint, report=interrupt_after(epoch), **how)
    reported = []
    resumed = fit(rows, start, 5, checkpoint=checkpoint, report=lambda *done: reported.append(done), **how)
    assert reported == [(done, 5) for done in range(epoch, 6)], "the fit must go on, not begin again"
    assert_same_fit(resumed, whole)
    assert resumed.losses.shape == (5, 3)


def test_a_fit_interrupted_again_and_again_ends_at_the_same_bits(tmp_path):
    rows, start = toy_rows(dtype=torch.float32), unlike_models(3, dtype=torch.float32)
    checkpoint = tmp_path / "checkpoint"
    for epoch in (2, 3, 5):
        with pytest.raises(Interruption):
            fit(rows, start, 6, checkpoint=checkpoint, report=interrupt_after(epoch))
    assert_same_fit(fit(rows, start, 6, checkpoint=checkpoint), fit(rows, start, 6))


def test_a_second_fit_goes_on_from_the_first_ones_optimizer_state():
    rows, start = toy_rows(dtype=torch.float32), unlike_models(3, dtype=torch.float32)
    assert_same_fit(fit(rows, fit(rows, start, 2), 5), fit(rows, start, 5))
    without_state = fit(rows, replace(fit(rows, start, 2), optimizer={}), 5)
    assert not torch.equal(without_state.network["decoder.0.weight"], fit(rows, start, 5).network["decoder.0.weight"])


def test_a_fit_that_has_made_its_epochs_makes_no_more():
    rows = toy_rows()
    end = fit(rows, unlike_models(3), 2)
    assert fit(rows, end, 2) is end
    assert fit(rows, end, 1) is end


@pytest.mark.parametrize("keep", [0, 4, 100, -1, -200])
def test_a_torn_checkpoint_is_ignored(keep, tmp_path):
    rows, start = toy_rows(dtype=torch.float32), unlike_models(3, dtype=torch.float32)
    checkpoint = tmp_path / "checkpoint"
    write_fit_state(checkpoint, fit(rows, start, 2))
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(content[:keep])
    assert read_fit_state(checkpoint) is None
    assert_same_fit(fit(rows, start, 3, checkpoint=checkpoint), fit(rows, start, 3))


def test_a_checkpoint_half_written_leaves_the_last_whole_one(tmp_path, monkeypatch):
    state = fit(toy_rows(), unlike_models(3), 1)
    checkpoint = tmp_path / "checkpoint"
    write_fit_state(checkpoint, state)

    def killed(tensors, path):
        path.write_bytes(b"half")
        raise Interruption

    monkeypatch.setattr("ftl.learning.fit.save_file", killed)
    with pytest.raises(Interruption):
        write_fit_state(checkpoint, replace(state, epoch=2))
    found = read_fit_state(checkpoint)
    assert found is not None
    assert found.epoch == 1


def test_a_fit_state_reads_as_it_was_written(tmp_path):
    state = replace(fit(toy_rows(), unlike_models(3), 2), excluded=torch.tensor([[0, 1], [2, 0]]), seconds=1.25)
    write_fit_state(tmp_path / "state", state)
    found = read_fit_state(tmp_path / "state")
    assert found is not None
    assert_same_fit(found, state)
    assert found.seconds == 1.25
    assert [path.name for path in tmp_path.iterdir()] == ["state"]


def test_training_seconds_of_interrupted_attempts_add_up(tmp_path):
    rows, start = toy_rows(), FitState(unlike_models(3), seconds=100.0)
    end = fit(rows, start, 2)
    assert 100.0 < end.seconds < 160.0


# progress, losses, devices


def test_every_epoch_is_reported_once_with_the_number_in_all():
    reported = []
    fit(toy_rows(), unlike_models(3), 3, report=lambda *done: reported.append(done))
    assert reported == [(1, 3), (2, 3), (3, 3)]


def test_training_lowers_every_nodes_loss():
    losses = fit(toy_rows(), equal_models(0, torch.float64), 15).losses
    assert losses.shape == (15, 3)
    assert (losses[-1] < 0.8 * losses[0]).all()


@pytest.mark.parametrize("how", [{}, RMSPROP, FROZEN], ids=["adam", "rmsprop", "frozen encoder"])
def test_a_gpu_trains_to_the_same_weights_as_a_cpu(how, monkeypatch):
    rows, start = toy_rows(), unlike_models(3)
    on_gpu = fit(rows, start, **how)
    without_gpu(monkeypatch)
    assert_close(on_gpu.network, fit(rows, start, **how).network, rtol=1e-8, atol=1e-10)
    assert all(value.device.type == "cpu" for value in on_gpu.network.values()), "states are handed over on the host"
