"""What a block of work cost is what it spent itself: not what was spent before it, nor by others."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ftl.errors import ConfigError
from ftl.metering import ENERGY_METERS, NOT_MEASURED, Cost, Meter, asked_meter, block
from ftl.metering.energy import Rapl, rapl_zones

MB = 2**20
BURN = "import time\nwhile time.process_time() < {seconds}: pass"


@pytest.fixture(autouse=True)
def no_energy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FTL_ENERGY", "off")


def burn(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def test_a_block_costs_its_own_cpu_time() -> None:
    burn(0.3)
    with Meter() as meter:
        burn(0.05)
    burn(0.3)
    cost = meter.cost()
    assert 0.05 <= cost.cpu_seconds < 0.3
    assert cost.wall_seconds >= 0.05


def test_waiting_costs_wall_time_alone() -> None:
    with Meter() as meter:
        time.sleep(0.3)
    assert meter.cost().wall_seconds >= 0.3
    assert meter.cost().cpu_seconds < 0.2


def test_the_time_of_processes_that_a_block_starts_is_its_own() -> None:
    with Meter() as meter:
        subprocess.run([sys.executable, "-c", BURN.format(seconds=0.3)], check=True)
    assert meter.cost().cpu_seconds >= 0.29


def test_processes_that_still_run_are_counted_so_far() -> None:
    with Meter() as meter, subprocess.Popen([sys.executable, "-c", BURN.format(seconds=60)]) as child:
        try:
            while meter.cost().cpu_seconds < 0.3:  # for ever, if a running child did not count
                time.sleep(0.05)
        finally:
            child.kill()


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="no memory peak that can be set back")
def test_the_memory_peak_is_the_blocks_own() -> None:
    def peak_of(size: int) -> int:
        with Meter() as meter:
            np.ones(size, np.uint8)
        peak = meter.cost().peak_memory_bytes
        assert peak is not None
        return peak

    large, small = peak_of(300 * MB), peak_of(1 * MB)
    assert large - small > 200 * MB


def test_the_memory_peak_is_that_of_the_largest_process() -> None:
    child = "x = b'1' * (300 * 2**20)"
    script = (
        "import subprocess, sys; from ftl.metering import Meter\n"
        f"with Meter() as meter: subprocess.run([sys.executable, '-c', {child!r}], check=True)\n"
        "print(meter.cost().peak_memory_bytes)"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert 300 * MB < int(said.stdout) < 450 * MB


def test_without_a_meter_energy_is_not_measured() -> None:
    with Meter() as meter:
        pass
    assert (meter.cost().energy_wh, meter.cost().energy_source) == (None, "not measured")


@pytest.mark.parametrize("later", [Cost(1, 1), Cost(1, 1, 5, 1.0, "codecarbon")])
def test_energy_of_two_attempts_is_known_only_where_one_meter_measured_both(later: Cost) -> None:
    both = Cost(2, 1, 7, 3.0, "rapl") + later
    assert both == Cost(3, 2, 7, None, NOT_MEASURED)
    assert Cost(2, 1, 7, 3.0, "rapl") + Cost(1, 1, 9, 0.5, "rapl") == Cost(3, 2, 9, 3.5, "rapl")


Counters = Callable[[str, str, int], Path]


@pytest.fixture
def counters(tmp_path: Path) -> Counters:
    """Writes a zone of the powercap tree, whose counter runs to 10 J."""

    def write(zone: str, name: str, microjoules: int) -> Path:
        folder = tmp_path / zone
        folder.mkdir(exist_ok=True)
        (folder / "name").write_text(f"{name}\n")
        (folder / "energy_uj").write_text(f"{microjoules}\n")
        (folder / "max_energy_range_uj").write_text("10000000\n")
        return folder

    return write


def test_rapl_adds_packages_and_memory_and_nothing_twice(counters: Counters, tmp_path: Path) -> None:
    counted = [counters("intel-rapl:0", "package-0", 0), counters("intel-rapl:0:1", "dram", 0)]
    counted.append(counters("intel-rapl:1", "package-1", 0))
    counters("intel-rapl:0:0", "core", 0)  # part of the package
    counters("intel-rapl:2", "psys", 0)  # holds the packages
    counters("intel-rapl-mmio:0", "package-0", 0)  # the same counter, read in another way
    assert rapl_zones(tmp_path) == sorted(counted)


def test_rapl_that_may_not_be_read_measures_nothing(counters: Counters, tmp_path: Path) -> None:
    counters("intel-rapl:0", "package-0", 0)
    (counters("intel-rapl:1", "package-1", 0) / "energy_uj").unlink()
    assert rapl_zones(tmp_path) == []
    assert rapl_zones(tmp_path / "nowhere") == []


def test_rapl_counts_on_when_its_counter_begins_anew(counters: Counters, tmp_path: Path) -> None:
    counters("intel-rapl:0", "package-0", 7_000_000)
    rapl = Rapl(rapl_zones(tmp_path))
    counters("intel-rapl:0", "package-0", 9_000_000)
    assert rapl.joules() == pytest.approx(2)
    counters("intel-rapl:0", "package-0", 1_000_000)
    assert rapl.close() == pytest.approx(2 + 2)


def test_of_the_machines_energy_a_block_is_given_its_share_of_the_busy_time(
    counters: Counters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counters("intel-rapl:0", "package-0", 0)
    monkeypatch.setitem(ENERGY_METERS, "rapl", lambda: Rapl(rapl_zones(tmp_path)))
    monkeypatch.setenv("FTL_ENERGY", "rapl")
    busy = iter([100.0, 102.0])
    monkeypatch.setattr(block, "_machine_busy_seconds", lambda: next(busy))
    with Meter() as meter:
        burn(0.1)
        counters("intel-rapl:0", "package-0", 7_200_000)
    cost = meter.cost()
    assert cost.energy_source == "rapl"
    assert cost.energy_wh == pytest.approx(7.2 / 3600 * cost.cpu_seconds / 2)


def test_codecarbon_measures_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("codecarbon")
    monkeypatch.setenv("FTL_ENERGY", "codecarbon")
    with Meter() as meter:
        burn(0.1)
        assert meter.cost().energy_wh is None, "it is told at the end"
    assert meter.cost().energy_source == "codecarbon"
    assert meter.cost().energy_wh is not None
    assert (meter.cost().energy_wh or 0) > 0


def test_a_meter_that_is_unknown_or_not_installed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="FTL_ENERGY: unknown 'watts'; known: rapl, codecarbon, off"):
        asked_meter({"FTL_ENERGY": "watts"})
    monkeypatch.setitem(sys.modules, "codecarbon", None)
    with pytest.raises(ConfigError, match="codecarbon is not installed; pip install"):
        asked_meter({"FTL_ENERGY": "codecarbon"})
    assert asked_meter({}) == "rapl"
