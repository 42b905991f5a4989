import numpy as np

from ftl.data.simulation.fleet import Shutdown
from ftl.data.simulation.load import JOB_KINDS, USUAL_MIX, Users, draw_load

N_WINDOWS = 2880
CPU_ONLY, GPU_ONLY = (np.eye(len(JOB_KINDS))[JOB_KINDS.index(kind)] for kind in ("cpu", "gpu"))


def _load(seed=0, mix=USUAL_MIX, idle_share=0.06, unused_share=0.01, maintenance=()):
    users = Users(mix, idle_share, unused_share, appetite=1.0)
    return draw_load(np.random.default_rng(seed), users, np.ones(N_WINDOWS), maintenance)


def test_loads_are_shares():
    load = _load()
    for series in (load.cpu, load.gpu, load.memory, load.bandwidth, load.network, load.files):
        assert series.min() >= 0
        assert series.max() <= 1
        assert len(series) == N_WINDOWS
    assert (load.cpu_swing >= 0).all()
    assert (load.gpu_swing >= 0).all()


def test_load_persists_for_hours_and_is_forgotten_over_weeks():
    correlations = np.array([[_lag(_load(seed).gpu[:, 0], n) for n in (1, 960)] for seed in range(5)]).mean(axis=0)
    assert correlations[0] > 0.7
    assert abs(correlations[1]) < 0.3


def _lag(series, windows):
    return np.corrcoef(series[:-windows], series[windows:])[0, 1]


def test_days_resemble_the_days_next_to_them():
    days = np.concatenate([_load(seed).gpu.mean(axis=1).reshape(-1, 96).mean(axis=1)[None] for seed in range(40)])
    days -= days.mean()
    assert 0.1 < np.corrcoef(days[:, :-1].ravel(), days[:, 1:].ravel())[0, 1] < 0.6


def test_a_cpu_node_and_a_gpu_node_differ_in_what_they_use():
    cpu_node, gpu_node = _load(mix=CPU_ONLY), _load(mix=GPU_ONLY)
    assert cpu_node.cpu.mean() > 5 * gpu_node.cpu.mean()
    assert gpu_node.gpu.mean() > 5 * cpu_node.gpu.mean()


def test_most_windows_keep_few_threads_busy():
    cpu = np.concatenate([_load(seed).cpu for seed in range(10)])
    assert 0.02 < np.median(cpu) < 0.06
    assert np.quantile(cpu, 0.95) > 0.5


def test_an_idle_node_is_idle():
    busy, idle = _load(idle_share=0.05), _load(idle_share=0.85, unused_share=0.9)
    assert (idle.cpu < 0.0015).mean() > 0.7 > (busy.cpu < 0.0015).mean()


def test_no_job_runs_into_an_announced_maintenance():
    stop = Shutdown(1000, 1010, 1020, 1030, dark=False)
    empty = np.mean([_load(seed, maintenance=(stop,)).cpu[999] < 0.0015 for seed in range(60)])
    usual = np.mean([_load(seed).cpu[999] < 0.0015 for seed in range(60)])
    assert empty > 0.6
    assert usual < 0.25
