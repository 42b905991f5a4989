"""What a simulated node reports: metrics under their real names, and the feature list of each kind of fleet.

A metric is one sensor or counter; a feature is one statistic of a metric over a 15-minute window. Every metric reads
one channel of the node's state (ftl.data.simulation.node) with its own gain, offset, lag, noise and step.

The metrics of one node, as in the M100 ExaData release: 88 of plugin ipmi (of 24 core sensors per socket 16 report;
they are renumbered to slots 0..15, so that the columns of all nodes agree), 29 numeric ones of ganglia and 36 of each
of four GPUs. The published lists of D1 and D2 are not known; ours have their lengths:

d1, 462 features: 231 metrics x (avg, std): ipmi 88, ganglia 27 (without cpu_num and cpu_speed, constant on the
machine), 29 per GPU (without configured limits and violation counters that stay at zero).

d2, 573 features: 84 ipmi metrics x (avg, std, min, max), as in the public time-aggregated release (336); the four
constant gv100card sensors once (4); 20 ganglia metrics x (avg, std) and 9 slow ones once (49); per GPU 10 metrics x
(avg, std) and 26 counters and limits once (4 x 46 = 184).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain

N_GPUS = 4
N_CORE_SLOTS = 16
_BY_BMC = ("ambient", "pcie", "fan0_", "fan1_", "fan2_", "fan3_", "ps0_", "ps1_", "gv100card")
GPU_SLOTS = (0, 1, 3, 4)  # the ipmi numbers of the four GPUs; 2 and 5 are empty sockets


@dataclass(frozen=True)
class Metric:
    """How one sensor or counter reads its channel.

    Reading = anchor + offset + gain * (channel - anchor), gain ~ 1 and offset ~ 0 with the given spread over nodes.
    """

    name: str
    plugin: str  # "ipmi", "ganglia" or "gpu"
    channel: str
    within: float = 0.0  # own standard deviation of the samples inside a window
    follow: float = 1.0  # share of the channel's swing inside a window that the sensor shows
    step: float = 0.01  # smallest difference that the sensor can report
    low: float = 0.0
    high: float = 1e13
    anchor: float = 0.0
    gain_spread: float = 0.0
    offset_spread: float = 0.0
    lag: float = 0.0  # share of the previous window in the reading

    @property
    def reporter(self) -> str:
        """Who reports it, and falls silent as one.

        In ipmi: bmc (always), host (processors and memory, of a node that is on), gpus (their temperatures). In
        ganglia: os, and gpu0 to gpu3 by themselves. That a node that is off loses total_power and p0_power but not
        ambient is seen in the daily sample counts of the machine; the groups of the other metrics are inferred.
        """
        if self.plugin == "ipmi":
            if self.name.startswith("gpu"):
                return "gpus"
            return "bmc" if self.name.startswith(_BY_BMC) else "host"
        return "os" if self.plugin == "ganglia" else self.name[:4].lower()


def _temperature(name: str, channel: str, within: float, offset: float, lag: float, step: float = 1.0) -> Metric:
    return Metric(name, "ipmi", channel, within=within, follow=1.0, step=step, high=120.0, anchor=25.0,
                  gain_spread=0.06, offset_spread=offset, lag=lag)  # fmt: skip


def _power(name: str, within: float, step: float, gain: float = 0.03, offset: float = 1.0) -> Metric:
    return Metric(name, "ipmi", name, within=within, step=step, gain_spread=gain, offset_spread=offset)


def _ipmi() -> Iterator[Metric]:
    yield _temperature("ambient", "inlet", within=0.13, offset=0.5, lag=0.1, step=0.1)
    yield _temperature("pcie", "pcie", within=0.14, offset=1.5, lag=0.35, step=0.1)
    for dimm in range(16):
        yield _temperature(f"dimm{dimm}_temp", "dimm", within=0.1, offset=1.2, lag=0.2 + 0.02 * dimm)
    for gpu, slot in enumerate(GPU_SLOTS):
        yield _temperature(f"gpu{slot}_core_temp", f"gpu{gpu}_temp", within=0.5, offset=1.0, lag=0.05)
        yield _temperature(f"gpu{slot}_mem_temp", f"gpu{gpu}_mem_temp", within=0.57, offset=1.0, lag=0.1)
    for socket in range(2):
        for core in range(N_CORE_SLOTS):
            yield _temperature(f"p{socket}_core{core}_temp", f"p{socket}_temp", within=0.7, offset=1.2, lag=0.03)
        yield _temperature(f"p{socket}_vdd_temp", f"p{socket}_vdd", within=0.4, offset=1.0, lag=0.15)
        yield _power(f"p{socket}_power", within=3.0, step=2.0)
        yield _power(f"p{socket}_mem_power", within=1.2, step=1.0, gain=0.015, offset=0.3)
        yield _power(f"p{socket}_io_power", within=1.3, step=1.0, offset=2.0)
        yield _power(f"ps{socket}_input_power", within=8.0, step=10.0, offset=5.0)
        yield _power(f"ps{socket}_input_voltag", within=0.6, step=1.0, gain=0.003)
        yield _power(f"ps{socket}_output_curre", within=0.5, step=1.0)
        yield _power(f"ps{socket}_output_volta", within=0.01, step=0.1, gain=0.005, offset=0.05)
    for fan in range(4):
        for rotor in range(2):
            yield Metric(f"fan{fan}_{rotor}", "ipmi", f"fan{fan}_{rotor}", within=42.0, step=100.0, high=11000.0,
                         gain_spread=0.02, lag=0.1)  # fmt: skip
    yield _power("fan_disk_power", within=1.9, step=2.0)
    yield Metric("total_power", "ipmi", "total_power", within=15.0, step=20.0, high=1900.0, gain_spread=0.03,
                 offset_spread=5.0)  # fmt: skip
    for slot in GPU_SLOTS:
        yield Metric(f"gv100card{slot}", "ipmi", "zero")


_GANGLIA_WITHIN = {
    "bytes_in": 3e3, "bytes_out": 3e3, "pkts_in": 12.0, "pkts_out": 12.0, "cpu_idle": 0.3, "cpu_nice": 0.005,
    "cpu_system": 0.2, "cpu_user": 0.2, "cpu_wio": 0.05, "disk_free": 0.02, "load_one": 0.4, "load_five": 0.2,
    "load_fifteen": 0.1, "mem_buffers": 600.0, "mem_cached": 2e4, "mem_free": 6e4, "mem_shared": 1e3, "proc_run": 0.7,
    "proc_total": 4.0, "swap_free": 50.0,
}  # fmt: skip
_GANGLIA_SLOW = (
    "boottime", "cpu_aidle", "cpu_num", "cpu_speed", "cpu_steal", "disk_total", "mem_total", "part_max_used",
    "swap_total",
)  # fmt: skip
_GANGLIA_CONSTANT = ("cpu_num", "cpu_speed")
_PERCENT = ("cpu_idle", "cpu_nice", "cpu_system", "cpu_user", "cpu_wio", "cpu_aidle", "part_max_used")


def _ganglia() -> Iterator[Metric]:
    for name in sorted((*_GANGLIA_WITHIN, *_GANGLIA_SLOW)):
        yield Metric(name, "ganglia", name, within=_GANGLIA_WITHIN.get(name, 0.0),
                     step=1.0 if name.startswith(("boottime", "mem_", "swap_")) else 0.01,
                     high=100.0 if name in _PERCENT else 1e13)  # fmt: skip


_GPU_WITHIN = {
    "fb_free": 5.0, "fb_used": 5.0, "gpu_temp": 0.5, "gpu_utilization": 0.1, "mem_copy_utilization": 0.1,
    "memory_clock": 0.0, "memory_temp": 0.5, "nvlink_bandwidth_total": 1.0, "power_usage": 0.6, "sm_clock": 2.0,
}  # fmt: skip
_GPU_LIMITS = (
    "board_limit_violation", "fb_total", "mem_app_clock", "power_management_limit", "reliability_violation",
    "sm_app_clock", "sync_boost_violation",
)  # fmt: skip
_GPU_COUNTERS = (
    "current_clock_throttle_reasons", "ecc_dbe_aggregate_total", "ecc_dbe_volatile_total", "ecc_sbe_aggregate_total",
    "ecc_sbe_volatile_total", "gpu_util_samples", "low_util_violation", "nvlink_data_crc_error_count_total",
    "nvlink_flit_crc_error_count_total", "nvlink_recovery_error_count_total", "nvlink_replay_error_count_total",
    "power_violation", "pstate", "retired_pages_dbe", "retired_pages_pending", "retired_pages_sbe", "thermal_violation",
    "total_energy_consumption", "xid_errors",
)  # fmt: skip
_GPU_CHANNELS = {"gpu_temp": "temp", "memory_temp": "mem_temp", "gpu_util_samples": "gpu_utilization"}


def _gpus() -> Iterator[Metric]:
    for gpu in range(N_GPUS):
        for name in sorted((*_GPU_WITHIN, *_GPU_LIMITS, *_GPU_COUNTERS)):
            yield Metric(f"Gpu{gpu}_{name}", "gpu", f"gpu{gpu}_{_GPU_CHANNELS.get(name, name)}",
                         within=_GPU_WITHIN.get(name, 0.0), step=1.0,
                         gain_spread=0.01 if name == "power_usage" else 0.0,
                         high=100.0 if name.endswith("utilization") else 1e13)  # fmt: skip


METRICS: tuple[Metric, ...] = tuple(chain(_ipmi(), _ganglia(), _gpus()))


@dataclass(frozen=True)
class Kind:
    """One kind of fleet: which features it has, and how often its nodes fail."""

    start: int  # epoch seconds of the first window
    fault_share: float  # share of time that the nodes' own faults take in the mean of the ordinary nodes
    statistics: Mapping[str, tuple[str, ...]]  # metric name -> statistics that are features

    @property
    def features(self) -> tuple[str, ...]:
        """Feature names, metric by metric."""
        return tuple(f"{name}_{statistic}" for name, chosen in self.statistics.items() for statistic in chosen)


def _d1_statistics() -> dict[str, tuple[str, ...]]:
    left_out = {f"Gpu{gpu}_{name}" for gpu in range(N_GPUS) for name in _GPU_LIMITS} | set(_GANGLIA_CONSTANT)
    return {metric.name: ("avg", "std") for metric in METRICS if metric.name not in left_out}


def _d2_statistics() -> dict[str, tuple[str, ...]]:
    once = {f"Gpu{gpu}_{name}" for gpu in range(N_GPUS) for name in (*_GPU_LIMITS, *_GPU_COUNTERS)}
    once |= {*_GANGLIA_SLOW, *(f"gv100card{slot}" for slot in GPU_SLOTS)}
    full = {"ipmi": ("avg", "std", "min", "max"), "ganglia": ("avg", "std"), "gpu": ("avg", "std")}
    return {metric.name: ("avg",) if metric.name in once else full[metric.plugin] for metric in METRICS}


KINDS: dict[str, Kind] = {
    "d1": Kind(start=1_598_918_400, fault_share=0.0215, statistics=_d1_statistics()),
    "d2": Kind(start=1_640_995_200, fault_share=0.0110, statistics=_d2_statistics()),
}
