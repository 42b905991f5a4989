from typing import Any

import pytest

from ftl.tuning.page import verdict_sentences


def content(**difference: Any) -> dict[str, Any]:
    found = {"delta_f1": 0.02, "ci_low": 0.01, "ci_high": 0.03, "verdict": "better", "n_nodes": 3} | difference
    best = {"number": 4, "validation": {"f1": 0.5}, "test_difference": found}
    before = {"validation": {"f1": 0.4}}
    return {"objective": "f1", "improved": True, "baseline": before, "best": best, "test_looks": 1}


def test_the_effect_on_the_test_part_has_its_interval_nodes_and_verdict() -> None:
    (*_, tested) = verdict_sentences(content())
    assert tested == "On the test part F1 changes by +0.020, 95 % interval +0.010 to +0.030 over 3 nodes: better."


@pytest.mark.parametrize("looks", [1, 2])
def test_a_test_part_without_a_defined_f1_says_that_nothing_can_be_said(looks: int) -> None:
    nothing = content(delta_f1=None, ci_low=None, ci_high=None, verdict=None, n_nodes=0) | {"test_looks": looks}
    sentences = verdict_sentences(nothing)
    assert sentences[2].startswith("On the test part nothing can be said:")
    assert len(sentences) == 2 + looks
