"""The state of one node: how jobs, room and condition become power, heat, and fan speed.

Sizes follow the published idle and busy readings of Marconi100 (idle 400 W, busy 1400 W; CPU cores 38 to 46 degC, GPUs
34 to 64 degC, fans 4300 to 6300 RPM); ftl.data.simulation.reference says how near they come.
"""

from __future__ import annotations

import numpy as np
from scipy.signal import lfilter

from ftl.data.simulation.condition import Condition
from ftl.data.simulation.features import N_GPUS
from ftl.data.simulation.fleet import FleetSeries, RackSeries, slow_days, slow_noise
from ftl.data.simulation.load import Load
from ftl.data.simulation.software import Series, add_accelerators, add_operating_system
from ftl.data.simulation.traits import Traits

_STANDBY = 45.0  # W, of a node that is switched off
_GPU_WATTS = 235.0  # of one GPU under full load, above that at rest
_GPU_BASE = (6.2, 7.7, 6.2, 9.0)  # degC above the inlet without power: the air reaches the GPUs one after the other
_GPU_RESISTANCE = (0.165, 0.185, 0.175, 0.205)  # degC per W


def run_node(
    traits: Traits, load: Load, condition: Condition, fleet: FleetSeries, rack: RackSeries, rng: np.random.Generator
) -> tuple[Series, Series]:
    """The state of one node.

    Returns:
        Channels, the mean of each quantity over each window, (T,); and swings, the standard deviation of the quantity
        itself inside the window, (T,), for those channels that move within one.
    """
    n_windows = len(fleet.time)
    place = slow_days(rng, n_windows, {0.04: 0.12, 0.5: 0.25, 10.0: 0.6})
    room = traits.inlet_offset + traits.cooling_sensitivity * fleet.cooling + rack.cooling
    channels: Series = {
        "inlet": 22.5 + room + place + condition.recirculation,
        "zero": np.zeros(n_windows, dtype=np.float32),
        "mains": 228 + slow_noise(rng, n_windows, timescale=40, spread=1.0),
    }
    swings: Series = {}
    cpu = load.cpu * condition.running
    gpu = load.gpu * (condition.running[:, None] * condition.gpu_alive)
    gpu_swing = load.gpu_swing * (condition.running[:, None] * condition.gpu_alive)

    gpu_power = _gpu_power(traits, condition, gpu)
    channels["inlet"] += 0.0013 * (gpu_power.sum(axis=1) - 370)  # some hot air comes back
    airflow = _fans(channels, traits, condition, gpu_power)
    _gpus(channels, swings, traits, condition, gpu_power, gpu_swing, airflow)
    _sockets(channels, swings, traits, load, condition, cpu, gpu, airflow)
    _whole_node(channels, swings, condition, gpu_power, gpu_swing, traits)
    _supplies(channels, swings, traits, condition)
    add_accelerators(channels, swings, condition, gpu, gpu_swing, rng)
    add_operating_system(channels, swings, traits, load, condition, fleet.time, cpu, rng)
    return channels, swings


def _gpu_power(traits: Traits, condition: Condition, gpu: np.ndarray) -> np.ndarray:
    """(T, 4) W: 38 W at rest, some 270 W under full load, 8 W when the GPU is lost."""
    active = (38 + _GPU_WATTS * gpu * condition.gpu_clock**2) * traits.gpu_power
    return np.where(condition.gpu_alive > 0, active, 8.0).astype(np.float32)


def _fans(channels: Series, traits: Traits, condition: Condition, gpu_power: np.ndarray) -> np.ndarray:
    """Fans follow the warmest GPU and the inlet. Returns the airflow, (T,), 1 at the lowest speed."""
    inlet = channels["inlet"]
    warmest = (inlet[:, None] + 0.16 * gpu_power).max(axis=1)
    command = np.clip(traits.fan_gain * (warmest - 43) / 45 + 0.015 * (inlet - 22), 0, 1)
    command = lfilter([0.7], [1.0, -0.3], command)
    turning = condition.fan * condition.powered[:, None]  # (T, 4)
    rpm = (traits.fan_floor + 5000 * command)[:, None] * turning
    rpm += np.where(turning < 1, 0, 900 * (1 - condition.fan.min(axis=1))[:, None])  # the others speed up
    for fan in range(4):
        for rotor in range(2):
            offset = np.minimum(1, rpm[:, fan] / 1000) * traits.fan_offset[fan, rotor]  # a fan that stands reads 0
            channels[f"fan{fan}_{rotor}"] = rpm[:, fan] + offset
    channels["fan_disk_power"] = 4 + 28 * ((rpm / traits.fan_floor) ** 2.3).mean(axis=1)
    airflow: np.ndarray = np.maximum(0.3, rpm.mean(axis=1) / traits.fan_floor)
    return airflow


def _gpus(
    channels: Series, swings: Series, traits: Traits, condition: Condition, gpu_power: np.ndarray,
    gpu_swing: np.ndarray, airflow: np.ndarray,
) -> None:  # fmt: skip
    """Power and temperatures of the GPUs."""
    inlet = channels["inlet"]
    for number in range(N_GPUS):
        power, swing = gpu_power[:, number], _GPU_WATTS * traits.gpu_power[number] * gpu_swing[:, number]
        resistance = _GPU_RESISTANCE[number] * traits.gpu_resistance[number] * condition.resistance
        rise = _GPU_BASE[number] + resistance * airflow**-0.5 * power
        gpu = f"gpu{number}"
        channels |= {f"{gpu}_temp": inlet + rise, f"{gpu}_mem_temp": inlet - 1.4 + 0.95 * rise}
        swings |= {f"{gpu}_temp": 0.03 * swing, f"{gpu}_mem_temp": 0.025 * swing}
        channels[f"{gpu}_power_usage"], swings[f"{gpu}_power_usage"] = power, swing


def _sockets(
    channels: Series, swings: Series, traits: Traits, load: Load, condition: Condition, cpu: np.ndarray,
    gpu: np.ndarray, airflow: np.ndarray,
) -> None:  # fmt: skip
    """Power and temperatures of the two processors, their memory, and what connects them."""
    inlet, running, all_gpus = channels["inlet"], condition.running, gpu.mean(axis=1)
    cpu_swing = load.cpu_swing * running
    for socket, side in enumerate((1 + traits.socket_balance, 1 - traits.socket_balance)):
        use = np.clip(cpu * side, 0, 1)
        feeding = 12 * gpu[:, 2 * socket : 2 * socket + 2].mean(axis=1)  # its two GPUs keep it busy
        boost = 24 * load.boost * (1 - np.exp(-use / 0.015))  # a few busy threads raise clock and voltage
        power = traits.cpu_power[socket] * (30 + boost + 85 * load.boost * use + feeding)
        heat = traits.cpu_resistance[socket] * condition.resistance * airflow**-0.3 * (power + 4)
        network = load.network * running * condition.link
        channels |= {
            f"p{socket}_power": power,
            f"p{socket}_mem_power": 17.7 + 6 * load.bandwidth * running + 9 * all_gpus**1.5,
            f"p{socket}_io_power": 56 - 3 * socket + 6 * all_gpus + 3 * network,
            f"p{socket}_temp": inlet + 9.5 + 0.19 * heat,
            f"p{socket}_vdd": inlet + 5.5 + 0.1 * heat,
        }
        swings |= {
            f"p{socket}_power": 85 * traits.cpu_power[socket] * load.boost * cpu_swing,
            f"p{socket}_mem_power": 6 * cpu_swing,
            f"p{socket}_temp": 5 * cpu_swing,
        }
    channels["dimm"] = inlet + 7.5 + 0.2 * (channels["p0_mem_power"] - 18) + 0.02 * (channels["p0_power"] - 32)


def _whole_node(
    channels: Series, swings: Series, condition: Condition, gpu_power: np.ndarray, gpu_swing: np.ndarray,
    traits: Traits,
) -> None:  # fmt: skip
    """Power of the node, the sum of its parts, and the temperature of its slots."""
    parts = [f"p{socket}_{part}power" for socket in range(2) for part in ("", "mem_", "io_")]
    total = gpu_power.sum(axis=1) + channels["fan_disk_power"] + 12 + sum(channels[part] for part in parts)
    total = np.where(condition.powered > 0, total, _STANDBY)
    together = (_GPU_WATTS * traits.gpu_power * gpu_swing).sum(axis=1)
    swings["total_power"] = np.sqrt(together**2 + swings["p0_power"] ** 2 + swings["p1_power"] ** 2)
    channels["total_power"] = total
    channels["pcie"] = channels["inlet"] + 14.4 + 0.0136 * condition.resistance * (total - 403)


def _supplies(channels: Series, swings: Series, traits: Traits, condition: Condition) -> None:
    """The two power supplies share the node's power; where one fails the other carries all."""
    total, mains = channels["total_power"], channels["mains"]
    deliver = condition.supply * np.array([traits.supply_share, 1 - traits.supply_share], dtype=np.float32)
    deliver = deliver / deliver.sum(axis=1, keepdims=True)
    for supply in range(2):
        alive = (condition.supply[:, supply] > 0).astype(np.float32)
        drawn, swing = deliver[:, supply] * total / 0.76, deliver[:, supply] * swings["total_power"] / 0.76
        channels |= {
            f"ps{supply}_input_power": drawn,
            f"ps{supply}_output_curre": np.maximum(0, drawn * 0.0762 - 3) * alive,
            f"ps{supply}_output_volta": alive * (12.4 - 0.00036 * (drawn - 252)),
            f"ps{supply}_input_voltag": mains - 0.002 * (total - 600),
        }
        swings |= {f"ps{supply}_input_power": swing, f"ps{supply}_output_curre": 0.0762 * swing}
