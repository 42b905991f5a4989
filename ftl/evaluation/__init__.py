"""What came out: metrics of one node, the results table, and the summary with its statistics."""

from ftl.evaluation.comparison import compare_arms, compare_policies
from ftl.evaluation.confusion import Confusion, confusion
from ftl.evaluation.events import alarms_per_node_day, detection_delay, event_recall
from ftl.evaluation.headline import headline, overview_sentences, verdict_sentences
from ftl.evaluation.node_metrics import node_metrics
from ftl.evaluation.ranking import auroc, average_precision, vus_pr
from ftl.evaluation.results import (
    BASELINES,
    KEY_COLUMNS,
    METRIC_COLUMNS,
    LeakError,
    check_results,
    merge_results,
    read_results,
    results_digest,
    results_frame,
    write_results,
)
from ftl.evaluation.significance import bootstrap_interval, compare, equivalence_p, holm
from ftl.evaluation.summary import SUMMARY_COLUMNS, read_summary, summarise, write_summary

__all__ = [
    "BASELINES",
    "KEY_COLUMNS",
    "METRIC_COLUMNS",
    "SUMMARY_COLUMNS",
    "Confusion",
    "LeakError",
    "alarms_per_node_day",
    "auroc",
    "average_precision",
    "bootstrap_interval",
    "check_results",
    "compare",
    "compare_arms",
    "compare_policies",
    "confusion",
    "detection_delay",
    "equivalence_p",
    "event_recall",
    "headline",
    "holm",
    "merge_results",
    "node_metrics",
    "overview_sentences",
    "read_results",
    "read_summary",
    "results_digest",
    "results_frame",
    "summarise",
    "verdict_sentences",
    "vus_pr",
    "write_results",
    "write_summary",
]
