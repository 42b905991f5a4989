import pytest

from ftl.errors import ConfigError
from ftl.federation.selection import SELECTION_POLICIES, Clustered, FacilityLocation, HybridMaxMin
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
        ({"similarity": "rows"}, "select.similarity"),
        ({"n_quality_seeds": 0}, "select.n_quality_seeds"),
        ({"quality_bonus": -0.1}, "select.quality_bonus"),
        ({"quality_bonus": float("nan")}, "select.quality_bonus"),
        ({"max_per_rack": 0}, "select.max_per_rack"),
        ({"cost_budget": 0.0}, "select.cost_budget"),
        ({"n_clusters": 0}, "select.n_clusters"),
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
        ({"method": "fedsgd"}, "federate.method"),
        ({"proximal": -1.0}, "federate.proximal"),
        ({"server_learning_rate": 0.0}, "federate.server_learning_rate"),
        ({"server_eps": 0.0}, "federate.server_eps"),
        ({"server_beta1": 1.0}, "federate.server_beta1"),
        ({"server_beta2": -0.1}, "federate.server_beta2"),
        ({"head_epochs": 0}, "federate.head_epochs"),
        ({"method": "fedrep", "n_local_epochs": 1}, "federate.n_local_epochs=2"),
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


def test_a_policy_has_the_settings_of_the_section():
    settings = SelectionSettings(n_quality_seeds=3, quality_bonus=0.5, max_per_rack=2, cost_budget=9.0, n_clusters=4)
    assert settings.policy("hybrid_maxmin") == HybridMaxMin(n_quality_seeds=3)
    assert settings.policy("facility_location") == FacilityLocation(0.5, max_per_rack=2, cost_budget=9.0)
    assert settings.policy("clustered") == Clustered(n_clusters=4)


@pytest.mark.parametrize("name", SELECTION_POLICIES)
def test_the_settings_say_by_default_what_the_policies_do(name):
    assert SelectionSettings().policy(name) == SELECTION_POLICIES[name]


def test_a_policy_that_takes_all_nodes_stands_once():
    settings = SelectionSettings(n_participants=(3, 5))
    assert settings.sizes("all") == (3,)
    assert settings.sizes("clustered") == (3, 5)


def test_nodes_are_compared_only_where_a_policy_needs_it():
    assert not SelectionSettings(policies=("top_n", "label_free", "all")).compares_nodes
    assert SelectionSettings(policies=("top_n", "clustered")).compares_nodes
