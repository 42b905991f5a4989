import pytest

from ftl.data.simulation.features import KINDS, METRICS

LABEL_WORDS = {"label", "new_label", "value", "state", "nagiosdrained", "split", "timestamp", "node", "rack_id"}


@pytest.mark.parametrize(("kind", "n_features"), [("d1", 462), ("d2", 573)])
def test_a_kind_has_the_feature_count_of_its_dataset_and_no_name_twice(kind, n_features):
    features = KINDS[kind].features
    assert len(features) == len(set(features)) == n_features


def test_the_metrics_are_those_of_the_release():
    names = {metric.name for metric in METRICS}
    plugins = [metric.plugin for metric in METRICS]
    assert (plugins.count("ipmi"), plugins.count("ganglia"), plugins.count("gpu")) == (88, 29, 4 * 36)
    assert {
        "p0_core15_temp",
        "total_power",
        "ps1_input_voltag",
        "gpu4_mem_temp",
        "Gpu3_xid_errors",
        "cpu_user",
    } <= names
    assert "p0_core16_temp" not in names
    assert "gpu2_core_temp" not in names


def test_d1_has_a_mean_and_a_deviation_of_each_of_its_231_metrics():
    assert set(KINDS["d1"].statistics.values()) == {("avg", "std")}
    assert len(KINDS["d1"].statistics) == 231


def test_d2_describes_ipmi_as_the_time_aggregated_release_does():
    statistics = KINDS["d2"].statistics
    assert sum(chosen == ("avg", "std", "min", "max") for chosen in statistics.values()) == 84
    assert statistics["Gpu0_xid_errors"] == statistics["cpu_num"] == statistics["gv100card0"] == ("avg",)


@pytest.mark.parametrize("kind", KINDS)
def test_no_feature_is_a_label_or_a_key(kind):
    for feature in KINDS[kind].features:
        assert feature.lower() not in LABEL_WORDS
        assert feature.rsplit("_", 1)[0].lower() not in LABEL_WORDS
