import numpy as np

from ftl.data.simulation.condition import Condition
from ftl.data.simulation.features import KINDS, METRICS
from ftl.data.simulation.fleet import draw_fleet_series
from ftl.data.simulation.losses import draw_losses

N_WINDOWS = 2000
FLEET = draw_fleet_series(KINDS["d2"], N_WINDOWS, np.random.default_rng(0))
INSIDE = slice(500, 700)
METRIC_OF = {
    "bmc": "ambient", "host": "total_power", "gpus": "gpu0_core_temp", "os": "cpu_user", "gpu1": "Gpu1_power_usage",
    "gpu3": "Gpu3_power_usage",
}  # fmt: skip


def _lost(**what):
    """The reporters that are lost where the named parts of the condition hold."""
    condition = Condition.healthy(N_WINDOWS)
    for part, value in what.items():
        getattr(condition, part)[INSIDE] = value
    losses = draw_losses(condition, FLEET, np.random.default_rng(1))
    return {reporter for reporter, metric in METRIC_OF.items() if losses.of(metric)[INSIDE].mean() > 0.9}


def test_a_healthy_node_loses_little():
    losses = draw_losses(Condition.healthy(N_WINDOWS), FLEET, np.random.default_rng(1))
    lost = np.array([losses.of(metric.name).mean() for metric in METRICS if metric.plugin == "ipmi"])
    assert 0 < lost.mean() < 0.01


def test_a_node_that_is_off_still_reports_by_its_management_controller():
    assert _lost(powered=0, os_silent=True) == {"host", "gpus", "os", "gpu1", "gpu3"}


def test_a_dark_node_reports_nothing_of_ipmi():
    assert _lost(bmc_silent=True) == {"bmc", "host", "gpus"}


def test_a_hanging_system_loses_ganglia_and_the_gpus():
    assert _lost(os_silent=True) == {"gpus", "os", "gpu1", "gpu3"}


def test_a_lost_gpu_takes_only_its_own_metrics_along():
    assert _lost(gpu_alive=[1, 0, 1, 1]) == {"gpu1"}


def test_rows_are_absent_only_where_the_collector_was_down():
    losses = draw_losses(Condition.healthy(N_WINDOWS), FLEET, np.random.default_rng(1))
    np.testing.assert_array_equal(losses.arrives, ~FLEET.collector_down)


def test_every_metric_has_a_reporter_of_its_plugin():
    reporters = {metric.name: metric.reporter for metric in METRICS}
    assert set(reporters.values()) == {"bmc", "host", "gpus", "os", "gpu0", "gpu1", "gpu2", "gpu3"}
    assert reporters["fan_disk_power"] == "host"
    assert reporters["fan3_1"] == reporters["ps1_input_voltag"] == "bmc"
