"""What a run is told to differ in from the paper."""

from ftl.config import override, read_profile
from ftl.paper.reading import Reading, readings, sentence_on_data

FLEET = {"d1": {"origin": "simulated", "node_ids": ["a", "b"], "n_features": 462}}


def named(read: list[Reading]) -> dict[str, Reading]:
    return {reading.what: reading for reading in read}


def test_the_paper_profile_differs_in_nothing_that_the_paper_states() -> None:
    read = readings(read_profile("paper"))
    assert [reading.what for reading in read if reading.same is False] == []
    assert sum(reading.same is True for reading in read) > 10


def test_the_default_profile_differs_where_it_must() -> None:
    read = named(readings(read_profile("default")))
    different = {what for what, reading in read.items() if reading.same is False}
    assert {"learning rate", "rounds", "decoder of a target", "nodes ranked by", "anomaly score"} <= different
    assert read["nodes ranked by"].ours == "validation_f1"
    assert read["threshold, unsupervised"].ours == "percentile 98"
    assert read["split"].ours == "chronological"


def test_a_reduction_is_seen() -> None:
    params = override(read_profile("paper"), ["federate.n_rounds=30", "training.max_steps_per_epoch=100"])
    different = {reading.what: reading.ours for reading in readings(params) if reading.same is False}
    assert different == {"rounds": "30", "steps per epoch, at most": "100"}


def test_a_rule_named_for_all_paradigms_replaces_the_protocols() -> None:
    read = named(readings(override(read_profile("paper"), ["detection.threshold=percentile"])))
    assert read["threshold, supervised"].ours == "percentile 98"
    assert read["threshold, supervised"].same is False


def test_without_parameters_all_is_unknown() -> None:
    read = readings({})
    assert {reading.ours for reading in read} == {"unknown"}
    assert {reading.same for reading in read} == {None}


def test_simulated_telemetry_is_called_that() -> None:
    assert "SIMULATED telemetry, 2 nodes, 462 features" in sentence_on_data("d1", FLEET)
    assert "neither confirm nor refute" in sentence_on_data("d1", FLEET)
    assert sentence_on_data("d1", {}) == "d1: origin unknown (no fleets.json beside the summary)."
    assert sentence_on_data("x", {"x": {"origin": "real", "node_ids": ["a"]}}) == "x: real telemetry, 1 node."
    assert readings({}, FLEET)[0].ours == "simulated, 2 nodes"
