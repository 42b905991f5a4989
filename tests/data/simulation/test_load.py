import numpy as np
import pytest

from ftl.data.simulation.features import KINDS
from ftl.data.simulation.load import draw_fleet_series, draw_load, slow_noise

N_WINDOWS = 2880


def _load(seed=0, job_mix=(0.25, 0.25, 0.25, 0.25), idle_share=0.15):
    return draw_load(np.random.default_rng(seed), np.array(job_mix), idle_share, np.ones(N_WINDOWS))


def test_loads_are_shares():
    load = _load()
    for series in (load.cpu, load.gpu, load.memory, load.bandwidth, load.network, load.files):
        assert series.min() >= 0
        assert series.max() <= 1
        assert len(series) == N_WINDOWS
    assert (load.cpu_swing >= 0).all()
    assert (load.gpu_swing >= 0).all()


def test_load_persists_for_hours_and_is_forgotten_over_weeks():
    correlations = np.array([[_lag(_load(seed).cpu, 1), _lag(_load(seed).cpu, 960)] for seed in range(5)]).mean(axis=0)
    assert correlations[0] > 0.7
    assert abs(correlations[1]) < 0.3


def _lag(series, windows):
    return np.corrcoef(series[:-windows], series[windows:])[0, 1]


def test_a_cpu_node_and_a_gpu_node_differ_in_what_they_use():
    cpu_node, gpu_node = _load(job_mix=(1, 0, 0, 0)), _load(job_mix=(0, 1, 0, 0))
    assert cpu_node.cpu.mean() > 3 * gpu_node.cpu.mean()
    assert gpu_node.gpu.mean() > 3 * cpu_node.gpu.mean()


def test_an_idle_node_is_idle():
    busy, idle = _load(idle_share=0.05), _load(idle_share=0.8)
    assert (idle.cpu < 0.015).mean() > 0.5 > (busy.cpu < 0.015).mean()


def test_the_rooms_climate_wanders_moderately():
    """A month holds changes of some degrees between its parts, and no jump of ten."""
    shifts = []
    for seed in range(8):
        cooling = draw_fleet_series(KINDS["d1"], N_WINDOWS, np.random.default_rng(seed)).cooling
        shifts.append(abs(cooling[: N_WINDOWS // 2].mean() - cooling[-N_WINDOWS // 5 :].mean()))
        assert np.abs(cooling).max() < 10
    assert 0.3 < np.mean(shifts) < 4


@pytest.mark.parametrize("timescale", [3, 50])
def test_slow_noise_has_the_given_spread_and_memory(timescale):
    noise = slow_noise(np.random.default_rng(0), 200_000, timescale, spread=2.0)
    assert noise.std() == pytest.approx(2.0, rel=0.1)
    assert np.corrcoef(noise[:-1], noise[1:])[0, 1] == pytest.approx(np.exp(-1 / timescale), abs=0.02)
