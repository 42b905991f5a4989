"""A simulated fleet in the terms of the Marconi100 machine: racks, jobs, heat, sensors and faults."""

from ftl.data.simulation.features import KINDS
from ftl.data.simulation.source import SimulatedSource

__all__ = ["KINDS", "SimulatedSource"]
