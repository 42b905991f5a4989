"""Meters of the whole machine's energy: counters where Linux shows them, estimates where somebody asks for them."""

import importlib.util
import logging
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from ftl.errors import ConfigError

POWERCAP = Path("/sys/class/powercap")
JOULES_PER_WH = 3600.0
RAPL_SECONDS = 60.0
"""How often RAPL's counters are read at least: a busy package runs through its whole range in ten minutes."""


class EnergyMeter(Protocol):
    """Measures the whole machine from the moment it is made."""

    def joules(self) -> float | None:
        """Energy so far; None where the meter tells it only at the end."""
        ...

    def close(self) -> float | None:
        """Stop, and tell the energy in all; None where nothing could be measured."""
        ...


class Rapl:
    """Energy counters of the processor packages and of the memory beside them, as Linux shows them.

    Packages hold their cores, so that those are not added again; accelerators are not in it.

    Args:
        zones: Folders of the counters, of which there is at least one.
    """

    def __init__(self, zones: list[Path]) -> None:
        self._range = {zone: _number(zone / "max_energy_range_uj") for zone in zones}
        self._last = {zone: _number(zone / "energy_uj") for zone in zones}
        self._microjoules = 0
        self._lock = threading.Lock()
        self._closed = threading.Event()
        threading.Thread(target=self._keep_up, daemon=True).start()

    def joules(self) -> float:
        with self._lock:
            for zone, before in self._last.items():
                now = self._last[zone] = _number(zone / "energy_uj")
                self._microjoules += now - before if now >= before else now + self._range[zone] - before
            return self._microjoules / 1e6

    def close(self) -> float | None:
        self._closed.set()
        with suppress(OSError, ValueError):
            return self.joules()
        return None

    def _keep_up(self) -> None:
        while not self._closed.wait(RAPL_SECONDS):
            with suppress(OSError, ValueError):
                self.joules()


def rapl_zones(root: Path = POWERCAP) -> list[Path]:
    """The counters that add up to the machine's processors and memory; none where they may not be read."""
    zones = []
    for zone in sorted(root.glob("intel-rapl:*")):
        try:
            name = (zone / "name").read_text().strip()
            if name.startswith("package") or name == "dram":
                _number(zone / "energy_uj"), _number(zone / "max_energy_range_uj")
                zones.append(zone)
        except (OSError, ValueError):
            return []  # in many systems root alone may read them
    return zones


def open_rapl() -> EnergyMeter | None:
    """RAPL where its counters can be read."""
    zones = rapl_zones()
    return Rapl(zones) if zones else None


class CodeCarbon:
    """codecarbon's offline tracker, which estimates where it finds no counter. It takes two seconds to start."""

    def __init__(self) -> None:
        from codecarbon import OfflineEmissionsTracker

        logging.getLogger("codecarbon").setLevel(logging.CRITICAL)  # its import sets another
        # The country decides the emissions, which nobody asks for here.
        self._tracker: Any = OfflineEmissionsTracker(
            country_iso_code="ITA", save_to_file=False, log_level="critical", allow_multiple_runs=True
        )
        self._tracker.start()

    def joules(self) -> None:
        return None

    def close(self) -> float | None:
        self._tracker.stop()
        measured = getattr(self._tracker, "final_emissions_data", None)
        return None if measured is None else float(measured.energy_consumed) * 1000 * JOULES_PER_WH


ENERGY_METERS: dict[str, Callable[[], EnergyMeter | None]] = {
    "rapl": open_rapl,
    "codecarbon": CodeCarbon,
    "off": lambda: None,
}


def asked_meter(environment: Mapping[str, str] = os.environ) -> str:
    """The key of ENERGY_METERS that ``FTL_ENERGY`` asks for; ``rapl`` where it is not set.

    Raises:
        ConfigError: If it is unknown or not installed.
    """
    asked = environment.get("FTL_ENERGY") or "rapl"
    if asked not in ENERGY_METERS:
        raise ConfigError(f"FTL_ENERGY: unknown {asked!r}; known: {', '.join(ENERGY_METERS)}")
    if asked == "codecarbon" and importlib.util.find_spec("codecarbon") is None:
        raise ConfigError("FTL_ENERGY=codecarbon: codecarbon is not installed; pip install 'ftl[energy]', or unset it")
    return asked


def _number(path: Path) -> int:
    return int(path.read_text())
