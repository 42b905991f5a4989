"""How well each part of a node works, window by window."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ftl.data.simulation.features import N_GPUS


@dataclass(frozen=True)
class Condition:
    """Faults and shutdowns write into it (ftl.data.simulation.faults); the node's state follows from it."""

    running: np.ndarray  # (T,) share of the jobs' demands that runs
    powered: np.ndarray  # (T,) 1, or 0 where the node is switched off
    daemons: np.ndarray  # (T,) 1, or 0 where the batch system's daemon is dead
    gpu_alive: np.ndarray  # (T, 4) 1 or 0
    gpu_clock: np.ndarray  # (T, 4) share of the usual clock
    gpu_errors: np.ndarray  # (T, 4) corrected memory errors per window
    gpu_xid: np.ndarray  # (T, 4) last error code of the driver
    fan: np.ndarray  # (T, 4) share of the commanded speed
    recirculation: np.ndarray  # (T,) degC of warm air drawn in again
    resistance: np.ndarray  # (T,) thermal resistance relative to a healthy node
    supply: np.ndarray  # (T, 2) share of its usual half that a power supply delivers
    memory_lost: np.ndarray  # (T,) share of the memory that is mapped out
    stalled: np.ndarray  # (T,) share of processes that wait for the file system
    link: np.ndarray  # (T,) share of network traffic that gets through
    os_silent: np.ndarray  # (T,) bool: ganglia and the GPUs are not heard
    bmc_silent: np.ndarray  # (T,) bool: nor is the management controller, which reports all of ipmi
    rebooted: np.ndarray  # (T,) bool: the node starts again in this window

    @classmethod
    def healthy(cls, n_windows: int) -> Condition:
        """A node with nothing wrong."""

        def full(value: float, *parts: int) -> np.ndarray:
            return np.full((n_windows, *parts), value, dtype=np.float32)

        def nowhere() -> np.ndarray:
            return np.zeros(n_windows, dtype=bool)

        return cls(
            running=full(1), powered=full(1), daemons=full(1), gpu_alive=full(1, N_GPUS), gpu_clock=full(1, N_GPUS),
            gpu_errors=full(0, N_GPUS), gpu_xid=full(0, N_GPUS), fan=full(1, 4), recirculation=full(0),
            resistance=full(1), supply=full(1, 2), memory_lost=full(0), stalled=full(0), link=full(1),
            os_silent=nowhere(), bmc_silent=nowhere(), rebooted=nowhere(),
        )  # fmt: skip
