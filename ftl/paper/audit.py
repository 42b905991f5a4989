"""The printed tables checked against themselves and against the text: every finding is computed from the tables."""

from collections.abc import Callable

from ftl.paper.checks import confusion, costs, gains, ranking, rows, significance
from ftl.paper.findings import VERDICTS, Finding

CHECKS: tuple[Callable[[], Finding], ...] = (
    rows.gains_follow,
    rows.targets_are_the_rest,
    rows.table_5_is_the_mean,
    rows.before_ignores_the_strategy,
    ranking.top_is_the_top,
    ranking.total_is_conserved,
    ranking.implied_f1_of_ranks,
    confusion.recall_is_one,
    confusion.f1_of_pooled_counts,
    confusion.implied_prevalence,
    confusion.population_of_nodes,
    confusion.f1_between_precision_and_pooled,
    confusion.precision_below_its_bound,
    significance.asterisks,
    significance.effect_size_is_over_nodes,
    significance.strongest_paradigms,
    significance.range_of_effects,
    significance.top_has_larger_effects,
    gains.largest_gain,
    gains.range_of_f1_before,
    gains.tnr_gain,
    gains.gain_follows_the_baseline,
    gains.top_beats_random,
    costs.amortisation,
)


def audit_tables() -> list[Finding]:
    """All findings, in the order of CHECKS."""
    return [check() for check in CHECKS]


def tally(findings: list[Finding]) -> str:
    """``24 statements checked: 2 hold, 19 do not hold, 3 cannot be decided from the tables.``"""
    counts = {name: sum(finding.verdict == name for finding in findings) for name in VERDICTS}
    hold, broken, open_ = counts.values()
    sentence = f"{len(findings)} statements checked: {hold} hold, {broken} do not hold, {open_} cannot be decided"
    return f"{sentence} from the tables."
