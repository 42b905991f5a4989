"""What work costs on the machine that does it."""

from ftl.metering.block import NOT_MEASURED, Cost, Meter
from ftl.metering.energy import ENERGY_METERS, asked_meter

__all__ = ["ENERGY_METERS", "NOT_MEASURED", "Cost", "Meter", "asked_meter"]
