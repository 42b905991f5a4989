"""Units of Marconi100's metrics, by name: those of the node plugins ipmi and ganglia.

Names and units as the documentation of the M100 ExaData release gives them (Borghesi et al., Scientific Data 10:288).
"""

from __future__ import annotations

import re

# The first pattern that matches a whole name decides. Some ipmi names are cut at 16 characters.
_UNITS: tuple[tuple[str, str], ...] = (
    (r"ambient|pcie|(dimm\d+|p\d+_core\d+|p\d+_vdd|gpu\d+_(core|mem))_temp", "degC"),
    (r"fan\d+_\d+", "RPM"),
    (r"fan_disk_power|total_power|p\d+_((mem|io)_)?power|ps\d+_input_power", "W"),
    (r"ps\d+_(in|out)put_volta(ge?)?", "V"),
    (r"ps\d+_output_curre(nt)?", "A"),
    (r"cpu_(aidle|idle|nice|steal|system|user|wio)|part_max_used", "%"),
    (r"cpu_speed", "MHz"),
    (r"bytes_(in|out)", "B/s"),
    (r"pkts_(in|out)", "packets/s"),
    (r"disk_(free|total)", "GB"),
    (r"(mem|swap)_(buffers|cached|free|shared|total)", "kB"),
    (r"boottime", "s"),
    (r"Gpu\d+_(gpu|memory)_temp", "degC"),
    (r"Gpu\d+_(power_usage|power_management_limit)", "W"),
    (r"Gpu\d+_(gpu_utilization|gpu_util_samples|mem_copy_utilization)", "%"),
    (r"Gpu\d+_(mem_app|sm_app|sm|memory)_clock", "MHz"),
    (r"Gpu\d+_fb_(free|total|used)", "MiB"),
    (r"Gpu\d+_total_energy_consumption", "mJ"),
)
_PATTERNS = tuple((re.compile(pattern), unit) for pattern, unit in _UNITS)


SOCKETS, CORES, DIMMS, FANS, GPUS = (0, 1), range(24), range(16), range(4), (0, 1, 3, 4)  # a node has no gpu2 and gpu5
IPMI_METRICS: tuple[str, ...] = (
    *("ambient", "pcie", "total_power", "fan_disk_power"),
    *(f"dimm{dimm}_temp" for dimm in DIMMS),
    *(f"fan{fan}_{side}" for fan in FANS for side in (0, 1)),
    *(f"gpu{gpu}_{part}_temp" for gpu in GPUS for part in ("core", "mem")),
    *(f"gv100card{gpu}" for gpu in GPUS),
    *(f"p{socket}_core{core}_temp" for socket in SOCKETS for core in CORES),  # a socket reports 16 of the 24
    *(f"p{socket}_{metric}" for socket in SOCKETS for metric in ("power", "mem_power", "io_power", "vdd_temp")),
    *(f"ps{ps}_input_{metric}" for ps in (0, 1) for metric in ("power", "voltag")),
    *(f"ps{ps}_output_{metric}" for ps in (0, 1) for metric in ("curre", "volta")),
)


def unit_of(metric: str) -> str | None:
    """The unit of a metric such as ``p0_power``; None for counts, states, text and unknown names.

    Args:
        metric: The metric's name without a statistic (``p0_power``, not ``p0_power_avg``).
    """
    return next((unit for pattern, unit in _PATTERNS if pattern.fullmatch(metric)), None)
