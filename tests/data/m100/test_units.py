import pytest

from ftl.data.m100.units import IPMI_METRICS, unit_of


@pytest.mark.parametrize(
    ("metric", "unit"),
    [
        ("ambient", "degC"),
        ("p1_core23_temp", "degC"),
        ("gpu4_mem_temp", "degC"),
        ("fan3_1", "RPM"),
        ("fan_disk_power", "W"),
        ("p0_mem_power", "W"),
        ("ps1_input_power", "W"),
        ("ps0_input_voltag", "V"),
        ("ps0_output_volta", "V"),
        ("ps1_output_curre", "A"),
        ("cpu_idle", "%"),
        ("mem_free", "kB"),
        ("Gpu2_power_usage", "W"),
        ("Gpu0_gpu_temp", "degC"),
        ("gv100card0", None),
        ("load_one", None),
        ("os_name", None),
        ("p0_power_avg", None),
    ],
)
def test_the_unit_follows_from_the_name(metric: str, unit: str | None) -> None:
    assert unit_of(metric) == unit


def test_ipmi_has_104_metrics_and_all_but_the_gpu_cards_have_a_unit() -> None:
    assert len(set(IPMI_METRICS)) == 104
    assert [metric for metric in IPMI_METRICS if unit_of(metric) is None] == [f"gv100card{gpu}" for gpu in (0, 1, 3, 4)]
