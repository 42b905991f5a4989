import pytest

from ftl.errors import ConfigError
from ftl.federation.settings import FederationSettings, SelectionSettings


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"policies": ()}, "select.policies"),
        ({"policies": ("top_n", "best_n")}, "best_n"),
        ({"n_participants": ()}, "select.n_participants"),
        ({"n_participants": (3, 0)}, "select.n_participants"),
        ({"n_participants": (3, 5, 3)}, "select.n_participants"),
        ({"n_draws": 0}, "select.n_draws"),
        ({"rank_by": "luck"}, "select.rank_by"),
    ],
    ids=str,
)
def test_wrong_selection_settings_are_refused_by_name(wrong, named):
    with pytest.raises(ConfigError, match=named):
        SelectionSettings(**wrong)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"n_rounds": 0}, "federate.n_rounds"),
        ({"n_local_epochs": 0}, "federate.n_local_epochs"),
        ({"client_state": "stale"}, "federate.client_state"),
        ({"aggregator": "median"}, "federate.aggregator"),
        ({"weighting": "loss"}, "federate.weighting"),
    ],
    ids=str,
)
def test_wrong_federation_settings_are_refused_by_name(wrong, named):
    with pytest.raises(ConfigError, match=named):
        FederationSettings(**wrong)


def test_nodes_are_ranked_by_test_f1_under_the_papers_protocol_alone():
    assert SelectionSettings().ranking_of("rigorous") == "validation_f1"
    assert SelectionSettings().ranking_of("paper") == "test_f1"


@pytest.mark.parametrize("protocol", ["rigorous", "paper"])
@pytest.mark.parametrize("rank_by", ["validation_f1", "validation_loss", "test_f1"])
def test_a_ranking_that_is_named_holds_under_every_protocol(rank_by, protocol):
    assert SelectionSettings(rank_by=rank_by).ranking_of(protocol) == rank_by


def test_only_a_random_policy_is_drawn_several_times():
    settings = SelectionSettings(n_draws=4)
    assert (list(settings.draws("top_n")), list(settings.draws("random_n"))) == ([0], [0, 1, 2, 3])


def test_a_participants_epochs_are_rounds_times_local_epochs():
    assert FederationSettings(n_rounds=7, n_local_epochs=3).n_epochs == 21
