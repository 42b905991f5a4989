import numpy as np
import pytest

from ftl.data.simulation.features import KINDS
from ftl.data.simulation.fleet import WINDOWS_PER_DAY, draw_fleet_series, draw_rack_series, outages, slow_noise

YEARS = 900 * WINDOWS_PER_DAY
FLEETS = [draw_fleet_series(KINDS["d2"], YEARS, np.random.default_rng(seed)) for seed in range(4)]


def test_the_rooms_climate_wanders_moderately():
    """A month holds changes of some degrees between its parts, and no jump of ten."""
    shifts = []
    for seed in range(8):
        cooling = draw_fleet_series(KINDS["d1"], 2880, np.random.default_rng(seed)).cooling
        shifts.append(abs(cooling[:1440].mean() - cooling[-576:].mean()))
        assert np.abs(cooling).max() < 8
    assert 0.2 < np.mean(shifts) < 3


def test_the_cooling_has_regimes_that_last_for_months():
    spreads = [fleet.cooling.reshape(30, -1).mean(axis=1).std() for fleet in FLEETS]
    assert 0.6 < np.mean(spreads) < 2.5


def test_the_fleet_is_stopped_some_twenty_times_in_900_days_for_three_quarters_of_a_percent_of_the_time():
    for fleet in FLEETS:
        assert 15 <= len(fleet.maintenance) <= 25
        assert all(20 <= stop.stop - stop.start <= 48 for stop in fleet.maintenance)
        assert all(stop.start <= stop.off <= stop.on <= stop.stop for stop in fleet.maintenance)
    lengths = [sum(stop.stop - stop.start for stop in fleet.maintenance) for fleet in FLEETS]
    assert np.mean(lengths) / YEARS == pytest.approx(0.0075, rel=0.15)


def test_a_short_period_mostly_has_no_maintenance():
    counts = [len(draw_fleet_series(KINDS["d1"], 96, np.random.default_rng(s)).maintenance) for s in range(200)]
    assert np.mean(counts) < 0.08


def test_telemetry_and_labels_of_the_whole_fleet_are_missing_now_and_then():
    assert 0.02 < np.mean([fleet.collector_down.mean() for fleet in FLEETS]) < 0.15
    assert 0.08 < np.mean([fleet.monitor_down.mean() for fleet in FLEETS]) < 0.13
    assert 0 < np.mean([fleet.ganglia_down.mean() for fleet in FLEETS]) < 0.05


def test_no_outage_takes_more_than_an_eighth_of_a_period():
    for seed in range(50):
        down = outages(np.random.default_rng(seed), 800, per_day=0.1, hours=1000, spread=0.1)
        edges = np.flatnonzero(np.diff(np.pad(down.astype(int), 1)))
        n_outages = np.random.default_rng(seed).poisson(0.1 * 800 / WINDOWS_PER_DAY)
        assert (edges[1::2] - edges[::2]).sum() <= 100 * n_outages


def test_racks_differ_in_climate_and_demand_and_few_share_an_outage():
    racks = [draw_rack_series(np.random.default_rng(seed), FLEETS[0]) for seed in range(20)]
    assert 0.6 < np.std([rack.cooling.mean() for rack in racks]) < 1.8
    assert np.std([rack.demand.mean() for rack in racks]) > 0.03
    for stop, _share in FLEETS[0].partial_outages:
        assert sum(stop in rack.outages for rack in racks) <= 10


@pytest.mark.parametrize("timescale", [3, 50])
def test_slow_noise_has_the_given_spread_and_memory(timescale):
    noise = slow_noise(np.random.default_rng(0), 200_000, timescale, spread=2.0)
    assert noise.std() == pytest.approx(2.0, rel=0.1)
    assert np.corrcoef(noise[:-1], noise[1:])[0, 1] == pytest.approx(np.exp(-1 / timescale), abs=0.02)
