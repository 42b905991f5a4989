"""What makes a node unlike the others: its place, its hardware, its users."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ftl.data.simulation.features import N_CORE_SLOTS, N_GPUS
from ftl.data.simulation.load import USUAL_MIX, Users
from ftl.randomness import generator

SLOTS = 20  # of a rack, from the floor up
N_RACKS = 49  # of the machine; one of so many holds special nodes
_SPECIAL_SLOTS = (2, 3, 4, 5, 6, 19)  # of that rack: nodes that are at rest nine days out of ten
# Inlet air over the height of a rack, degC above that of the middle: (slot, degC) as measured over 17 months.
_HEIGHT = np.array([(0, -1.1), (1, -1.9), (3, -2.2), (5, -2.0), (8, -0.9), (10, 0.3), (14, 1.3), (18, 2.3), (19, 3.4)])


@dataclass(frozen=True)
class Traits:
    """One node."""

    special: bool
    inlet_offset: float  # degC: height in the rack and place; that of the rack comes with its climate
    cooling_sensitivity: float  # how strongly the room's regimes reach it
    cpu_power: np.ndarray  # (2,) power relative to a typical socket
    gpu_power: np.ndarray  # (4,)
    cpu_resistance: np.ndarray  # (2,) thermal resistance relative to a typical socket
    gpu_resistance: np.ndarray  # (4,)
    fan_floor: float  # RPM
    fan_gain: float  # steepness of the fan curve
    fan_offset: np.ndarray  # (4, 2) RPM
    supply_share: float  # share of the power that ps0 carries
    cores: np.ndarray  # (2, 16) which of 24 core sensors report, ascending
    users: Users
    socket_balance: float  # how unevenly jobs fill the two sockets
    chatter: float  # network traffic relative to a typical node


def slot_of(index: int, nodes_per_rack: int) -> int:
    """Height of a node in its rack, 0 to 19; fewer nodes than slots are spread evenly."""
    return int((index % nodes_per_rack + 0.5) * SLOTS / nodes_per_rack)


def is_special(seed: int, kind_name: str, index: int, nodes_per_rack: int) -> bool:
    """Whether the node is one of the few that hardly compute: in one rack of each 49."""
    block, place = divmod(index // nodes_per_rack, N_RACKS)
    chosen = generator(seed, "simulated", kind_name, "special rack", block).integers(N_RACKS)
    return bool(place == chosen) and slot_of(index, nodes_per_rack) in _SPECIAL_SLOTS


def draw_traits(rng: np.random.Generator, slot: int, special: bool) -> Traits:
    """Draw a node's hardware, place and users."""
    pairs = np.sort(np.argsort(rng.random((2, 12)), axis=1)[:, : N_CORE_SLOTS // 2], axis=1)
    return Traits(
        special=special,
        inlet_offset=float(np.interp(slot, _HEIGHT[:, 0], _HEIGHT[:, 1])) + rng.normal(0, 0.8),
        cooling_sensitivity=rng.uniform(0.6, 1.4),
        cpu_power=rng.normal(1, 0.08, 2),
        gpu_power=rng.normal(1, 0.06, N_GPUS),
        cpu_resistance=rng.normal(1, 0.1, 2),
        gpu_resistance=rng.normal(1, 0.08, N_GPUS),
        fan_floor=rng.normal(4200, 300),
        fan_gain=rng.uniform(0.8, 1.2),
        fan_offset=rng.normal(0, 150, (4, 1)) + np.array([0.0, 345.0]),
        supply_share=0.47 + rng.normal(0, 0.025),
        cores=np.stack([2 * pairs, 2 * pairs + 1], axis=2).reshape(2, N_CORE_SLOTS),
        users=_draw_users(rng, special),
        socket_balance=rng.uniform(-0.12, 0.12),
        chatter=float(np.exp(rng.normal(0, 0.4))),
    )


def _draw_users(rng: np.random.Generator, special: bool) -> Users:
    idle, unused = 0.06 * np.exp(0.5 * rng.standard_normal()), 0.012 * np.exp(1.0 * rng.standard_normal())
    return Users(
        mix=rng.dirichlet(25 * USUAL_MIX),
        idle_share=0.85 if special else min(float(idle), 0.4),
        unused_share=0.9 if special else min(float(unused), 0.3),
        appetite=float(np.exp(0.08 * rng.standard_normal())),
    )
