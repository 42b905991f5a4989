"""Write docs/results/paper_literal.md: what the paper's recipe does when it is carried out word for word.

python scripts/paper_page.py prepare FLEETS [--n-nodes 20] [--n-windows 9600]
    Two simulated fleets, prepared as profile `paper` says, but smaller.
python scripts/paper_page.py write --fleets FLEETS --scaled FOLDER [--kept FOLDER] [--short FOLDER]
    The page. Each FOLDER holds the results of `ftl run` on one or both fleets, as d1 and d2; the page says with which
    settings they are to be made (RUN, SCALED, KEPT, SHORT).
python scripts/paper_page.py findings
    The table of findings in docs/reproduce-the-paper.md.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ftl.cli.paper_pages import findings_table
from ftl.cli.paper_tables import cell_tables, number
from ftl.config import read_profile, section
from ftl.data.fleet import read_fleet
from ftl.data.prepare import PrepareSettings, prepare_fleet
from ftl.data.sources import open_source
from ftl.evaluation.summary import read_summary
from ftl.paper.audit import audit_tables
from ftl.paper.compare import compare_with_paper
from ftl.paper.literal import decoder_effect, reach, sum_of_squares_rule, what_thresholds_do
from ftl.paper.reading import readings
from ftl.paper.tables import claimed, table_1, tables_2_to_4
from ftl.reporting.tables import markdown

ROOT = Path(__file__).resolve().parent.parent
PAGE, GUIDE = ROOT / "docs/results/paper_literal.md", ROOT / "docs/reproduce-the-paper.md"
BEGIN, END = "<!-- findings: written by scripts/paper_page.py -->", "<!-- end of findings -->"
DATASETS = ("d1", "d2")
NODES_PER_RACK = 5
RUN = "-p paper -S seeds=[0] -S select.n_participants=[3,5,10] -S select.n_draws=1 -S baselines=[random,pca]"
SCALED = (
    "-S optimizer.learning_rate=1e-3 -S training.max_steps_per_epoch=3 "
    "-S federate.n_rounds=250 -S local.n_epochs=3 -S transfer.n_epochs=3"
)
KEPT = "-S transfer.decoder_init=keep"
SHORT = "-S federate.n_rounds=30 -S training.max_steps_per_epoch=100"
METRICS = {"Threshold": "threshold", "Recall": "recall", "TNR": "tnr", "F1": "f1", "AUROC": "auroc", "AUPRC": "auprc"}
SUM_COLUMNS = {
    "Mean squared error, median normal row": "mse_normal",
    "Largest": "mse_largest",
    "Recall at sum > 0.5": "recall",
    "TNR at sum > 0.5": "tnr",
}
METRIC_NAMES = {name: heading for heading, name in METRICS.items()}
ARMS_NAMED = ("untrained", "local", "local_long", "zero_shot", "transfer")
PARADIGMS = ("unsupervised", "semi_supervised", "supervised")


@dataclass(frozen=True)
class Run:
    """One results folder."""

    dataset: str
    folder: Path
    results: pd.DataFrame
    summary: pd.DataFrame
    params: dict[str, Any]

    def scores(self) -> pd.DataFrame | None:
        file = self.folder / "scores.parquet"
        return pd.read_parquet(file) if file.is_file() else None


def main() -> None:
    arguments = read_arguments()
    if arguments.command == "prepare":
        prepare(arguments.fleets, arguments.n_nodes, arguments.n_windows)
    elif arguments.command == "findings":
        head, rest = GUIDE.read_text(encoding="utf-8").split(BEGIN)
        GUIDE.write_text(
            f"{head}{BEGIN}\n\n{findings_table(audit_tables())}\n{END}{rest.split(END)[1]}", encoding="utf-8"
        )
    else:
        scaled, kept, short = (read_runs(folder) for folder in (arguments.scaled, arguments.kept, arguments.short))
        reports = {run.dataset: read_fleet(arguments.fleets / run.dataset).report for run in scaled}
        PAGE.parent.mkdir(parents=True, exist_ok=True)
        PAGE.write_text(write(reports, scaled, kept, short), encoding="utf-8")


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    smaller = commands.add_parser("prepare")
    smaller.add_argument("fleets", type=Path)
    smaller.add_argument("--n-nodes", type=int, default=20)
    smaller.add_argument("--n-windows", type=int, default=9600)
    commands.add_parser("findings")
    page = commands.add_parser("write")
    page.add_argument("--fleets", type=Path, required=True)
    page.add_argument("--scaled", type=Path, required=True)
    page.add_argument("--kept", type=Path)
    page.add_argument("--short", type=Path)
    return parser.parse_args()


def prepare(folder: Path, n_nodes: int, n_windows: int) -> None:
    """The two fleets of the profile, smaller."""
    params = read_profile("paper")
    settings = section(params, "prepare", PrepareSettings)
    size = {"n_nodes": n_nodes, "nodes_per_rack": NODES_PER_RACK, "n_windows": n_windows}
    for name in DATASETS:
        prepare_fleet(open_source(name, params["datasets"][name] | size), settings, params["protocol"], folder / name)


def read_runs(folder: Path | None) -> list[Run]:
    found = [] if folder is None else [folder / name for name in DATASETS if (folder / name / "summary.csv").is_file()]
    return [
        Run(
            at.name,
            at,
            pd.read_parquet(at / "results.parquet"),
            read_summary(at / "summary.csv"),
            json.loads((at / "params.json").read_text()),
        )
        for at in found
    ]


def write(reports: dict[str, Any], scaled: list[Run], kept: list[Run], short: list[Run]) -> str:
    parts = [
        HEAD.format(
            sizes="; ".join(f"{name} ({size_of(report)})" for name, report in reports.items()),
        ),
        "## In short\n",
        "\n".join(f"- {sentence}" for sentence in in_short(reports, scaled, kept)) + "\n",
        "## What was run\n",
        what_was_run(reports, scaled, kept, short),
        "## What the thresholds do\n",
        THRESHOLDS,
        *(thresholds(run) for run in scaled),
        "## Squared errors summed instead of averaged\n",
        SUMS,
        *(sums(run, reports) for run in scaled),
        "## Did transfer help?\n",
        GAINS,
        *(gains(run) for run in scaled),
        "## The decoder made anew\n",
        DECODER,
        decoders(scaled, kept),
        "## Beside the paper's cells\n",
        CELLS,
        *(cells(run) for run in scaled),
    ]
    if short:
        parts += ["## The printed learning rate, fewer steps\n", SHORT_TEXT, *(thresholds(run) for run in short)]
    parts.append("This page is written by `scripts/paper_page.py` from the results of `ftl run`.\n")
    return "\n".join(parts)


def in_short(reports: dict[str, Any], scaled: list[Run], kept: list[Run]) -> list[str]:
    """What the tables below come to, in sentences made of their numbers."""
    tables = pd.concat([what_thresholds_do(run.results) for run in scaled])
    models = tables[tables["arm"].isin(["local", "transfer"])]
    sentences = []
    for paradigm in PARADIGMS:
        rows = models[models["paradigm"] == paradigm]
        if len(rows):
            spans = ", ".join(
                f"{what} {span(rows[name])}" for what, name in (("recall", "recall"), ("TNR", "tnr"), ("F1", "f1"))
            )
            silent, loud = (span(rows[name], "{:.0%}") for name in ("flags_nothing", "flags_everything"))
            sentences.append(
                f"**{paradigm.replace('_', '-').capitalize()}**: of the local and transferred models, {silent} flag "
                f"nothing at all and {loud} everything; {spans}."
            )
    summed = [table for run in scaled if (table := sums_of(run, reports)) is not None]
    if summed:
        rows = pd.concat(summed)
        sentences.append(
            f"The largest mean squared error of any test row and arm is {rows['mse_largest'].max():.3f}, against a "
            "threshold of 0.5. Summed over features instead of averaged, that threshold gives recall "
            f"{span(rows['recall'])}, TNR {span(rows['tnr'])}."
        )
    summary = pd.concat([run.summary for run in scaled])
    transfer = summary[summary["arm"] == "transfer"]
    for reference, suffix in (("local", ""), ("local_long", "_vs_local_long")):
        verdicts, delta = transfer[f"verdict_vs_{reference}"], transfer[f"delta_f1{suffix}"]
        sentences.append(
            f"Transfer against `{reference}`: ΔF1 {span(delta, '{:+.3f}')} over {len(transfer)} cells; the 95 % "
            f"interval lies above 0 in {(verdicts == 'better').sum()} and below in {(verdicts == 'worse').sum()}."
        )
    printed = tables_2_to_4()["delta_f1"]
    both = (transfer["verdict_vs_local"] == "better") & (transfer["verdict_vs_local_long"] == "better")
    sentences.append(f"Cells in which transfer beats both: {both.sum()} of {len(transfer)}.")
    sentences.append(f"The paper prints ΔF1 {span(printed, '{:+.2f}')}, against what is here `local`.")
    best = tables[tables["paradigm"] != "supervised"].groupby("arm")["auroc"].mean()
    sentences.append(
        "Ranking of the reconstructing models (mean AUROC): "
        + ", ".join(f"{arm} {best[arm]:.3f}" for arm in ARMS_NAMED if arm in best)
        + ". The first has seen no data."
    )
    effect = effects(scaled, kept)
    if effect is not None:
        rows = effect[effect["paradigm"] == "semi_supervised"]
        semi = tables[(tables["paradigm"] == "semi_supervised") & (tables["arm"] == "untrained")]
        untrained = semi["threshold"].mean()
        means = {
            name: [number(rows[f"{name}_{decoder}"].mean(), 3) for decoder in ("reinitialised", "kept")]
            for name in ("threshold", "auroc", "f1")
        }
        sentences.append(
            "Semi-supervised targets with the decoder made anew, and with it kept: 98th percentile of the training "
            f"errors {' and '.join(means['threshold'])} (untrained {number(untrained, 3)}), AUROC "
            f"{' and '.join(means['auroc'])}, F1 {' and '.join(means['f1'])}."
        )
    sentences += [
        f"Dropping every row with a missing value takes {report['removed_anomalous_rows']:,} of "
        f"{report['costs']['missing']['drop_rows']['anomalous_rows']:,} anomalous windows of {name} with it: nodes in "
        "trouble lose telemetry."
        for name, report in reports.items()
    ]
    return sentences


def what_was_run(reports: dict[str, Any], scaled: list[Run], kept: list[Run], short: list[Run]) -> str:
    base = readings(read_profile("paper"))
    changed = {}
    for title, runs in (("scaled", scaled), ("decoder kept", kept), ("short", short)):
        if runs:
            ours = {reading.what: reading for reading in readings(runs[0].params)}
            changed[title] = {r.what: ours[r.what].ours for r in base if ours[r.what].ours != r.ours}
    whats = list(dict.fromkeys(what for values in changed.values() for what in values))
    printed = {reading.what: reading.ours for reading in base}
    table = pd.DataFrame({"Setting": whats, "Profile paper": [printed[what] for what in whats]})
    for title, values in changed.items():
        table[f"Run: {title}"] = [values.get(what, printed[what]) for what in whats]
    profile = read_profile("paper")
    first = next(iter(reports))
    sizes = {
        "nodes": (str(profile["datasets"][first]["n_nodes"]), str(len(reports[first]["nodes"]))),
        "N": tuple(", ".join(map(str, p["select"]["n_participants"])) for p in (profile, scaled[0].params)),
    }
    common = pd.DataFrame([[what, *values, *[values[1]] * (len(changed) - 1)] for what, values in sizes.items()])
    common.columns = table.columns
    steps = pd.concat(
        [
            reach(run.params, run.results).assign(run=title)
            for title, runs in (("scaled", scaled), ("short", short))
            for run in runs
        ]
    )
    full = pd.DataFrame([row for name, report in reports.items() for row in full_reach(name, report)])
    together = full.merge(
        steps.pivot(index=["dataset", "stage"], columns="run", values="reach").reset_index(), on=["dataset", "stage"]
    )
    shown = together.rename(columns={"dataset": "Dataset", "stage": "Stage", "full": "Recipe in full"})
    for name in shown.columns[2:]:
        shown[name] = [f"{value:.4f}" if pd.notna(value) else "-" for value in shown[name]]
    return RUNS.format(
        run=RUN, scaled=SCALED, kept=KEPT, short=SHORT,
        made="; ".join(
            f"{title} {' and '.join(run.dataset for run in runs)}"
            for title, runs in (("scaled", scaled), ("kept", kept), ("short", short))
            if runs
        ),
        reductions=markdown(pd.concat([common, table], ignore_index=True)), reach=markdown(shown),
    )  # fmt: skip


def size_of(report: dict[str, Any]) -> str:
    rows = sum(node["rows_read"] for node in report["nodes"].values())
    return f"{len(report['nodes'])} nodes, {report['n_features']} features, {rows:,} windows"


def full_reach(name: str, report: dict[str, Any]) -> list[dict[str, Any]]:
    """Learning rate x steps of the printed recipe on this fleet: all rows of a node, in batches of the printed size."""
    printed = dict(zip(table_1()["hyperparameter"], table_1()["value"], strict=True))
    rows = pd.Series([node["rows"]["train"] for node in report["nodes"].values()]).mean()
    per_epoch = float(printed["learning_rate"]) * rows / float(printed["batch_size"])
    epochs = {
        "local": float(printed["epochs"]),
        "federated": claimed("n_rounds"),
        "fine-tuning": float(printed["epochs"]),
    }
    return [{"dataset": name, "stage": stage, "full": n * per_epoch} for stage, n in epochs.items()]


def thresholds(run: Run) -> str:
    table = what_thresholds_do(run.results)
    shown = pd.DataFrame({"Paradigm": table["paradigm"], "Arm": table["arm"], "Models": table["n_models"].astype(str)})
    for heading, name in (("Flag nothing", "flags_nothing"), ("Flag everything", "flags_everything")):
        shown[heading] = [f"{value:.0%}" for value in table[name]]
    for heading, name in METRICS.items():
        shown[heading] = [number(value, 3) for value in table[name]]
    return f"**{run.dataset} (simulated)**\n\n{markdown(shown)}"


def sums(run: Run, reports: dict[str, Any]) -> str:
    table = sums_of(run, reports)
    if table is None:
        return f"**{run.dataset} (simulated)**: the run's scores were not kept (`--dump-scores`).\n"
    shown = pd.DataFrame({"Paradigm": table["paradigm"], "Arm": table["arm"]})
    for heading, name in SUM_COLUMNS.items():
        shown[heading] = [number(value, 4) for value in table[name]]
    return f"**{run.dataset} (simulated)**\n\n{markdown(shown)}"


def sums_of(run: Run, reports: dict[str, Any]) -> pd.DataFrame | None:
    scores = run.scores()
    if scores is None:
        return None
    printed = dict(zip(table_1()["hyperparameter"], table_1()["value"], strict=True))
    n_features = {run.dataset: reports[run.dataset]["n_features"]}
    return sum_of_squares_rule(scores, n_features, float(printed["reconstruction_threshold"]))


def gains(run: Run) -> str:
    rows = run.summary[run.summary["arm"] == "transfer"]
    shown = pd.DataFrame(
        {
            "Paradigm": rows["paradigm"],
            "Policy": rows["policy"],
            "N": rows["n_participants"].astype(str),
            "Nodes": rows["n_nodes"].astype(str),
            "ΔF1 vs local [95 % CI]": interval(rows, "delta_f1", "ci_low", "ci_high"),
            "ΔF1 vs local_long [95 % CI]": interval(
                rows, "delta_f1_vs_local_long", "ci_low_vs_local_long", "ci_high_vs_local_long"
            ),
            "ΔAUROC vs local_long": [number(value, 3, True) for value in rows["delta_auroc_vs_local_long"]],
            "p (Holm)": [number(value, 4) for value in rows["p_holm"]],
        }
    )
    return f"**{run.dataset} (simulated)**\n\n{markdown(shown)}"


def decoders(scaled: list[Run], kept: list[Run]) -> str:
    effect = effects(scaled, kept)
    if effect is None:
        return "The run with the decoder kept was not made.\n"
    shown = pd.DataFrame(
        {"Dataset": effect["dataset"], "Paradigm": effect["paradigm"], "Pairs": effect["n_pairs"].astype(str)}
    )
    for metric in ("threshold", "f1", "auroc", "auprc"):
        for decoder in ("reinitialised", "kept"):
            shown[f"{METRIC_NAMES[metric]} {decoder}"] = [number(value, 3) for value in effect[f"{metric}_{decoder}"]]
    return markdown(shown)


def effects(scaled: list[Run], kept: list[Run]) -> pd.DataFrame | None:
    by_name = {run.dataset: run for run in kept}
    pairs = [decoder_effect(run.results, by_name[run.dataset].results) for run in scaled if run.dataset in by_name]
    return pd.concat(pairs, ignore_index=True) if pairs else None


def cells(run: Run) -> str:
    tables = cell_tables(compare_with_paper(run.summary), short=True)
    return "\n".join(f"**{title} (simulated)**\n\n{markdown(table)}" for title, table in tables)


def interval(rows: pd.DataFrame, delta: str, low: str, high: str) -> list[str]:
    return [
        f"{number(row[delta], 3, True)} [{number(row[low], 3, True)}, {number(row[high], 3, True)}]"
        for _, row in rows.iterrows()
    ]


def span(values: Sequence[float] | pd.Series, form: str = "{:.3f}") -> str:
    """Smallest to largest, or the one value that all have as written."""
    known = pd.Series(values).dropna()
    if known.empty:
        return "undefined"
    low, high = form.format(known.min() + 0.0), form.format(known.max() + 0.0)
    return low if low == high else f"{low} to {high}"


HEAD = """# The paper's recipe, carried out literally

Profile `paper` (docs/decisions/0003), shortened as said below, on **simulated** telemetry shaped like the paper's:
{sizes}.
One seed, one draw of Random-N. Nothing here confirms or refutes the paper's numbers, which come from another machine's
recordings; it says what the printed recipe does when it meets telemetry of that shape.
"""
RUNS = """The full recipe on 100 nodes is days of work on two cores. RMSprop moves a weight by about the learning rate
per step, whatever the gradient's size, so learning rate times steps says how far a stage can carry it ("reach"; fresh
weights of the first layers lie within ±0.1 to ±0.2). The run **scaled** gives every stage its full reach
in fewer and larger steps: learning rate times 1000, and 3 steps per epoch, 250 rounds and 3 epochs in place of some 740
steps, 1000 rounds and 10 epochs. It is a stand-in for the recipe: it sees fewer rows, and averages less often. The run
**short** has the printed learning rate and a fraction of the steps. Tables are of **scaled** unless they say otherwise.

    python scripts/paper_page.py prepare fleets
    ftl run fleets/d1 --out scaled/d1 {run} {scaled} --dump-scores
    ftl run fleets/d1 --out kept/d1 {run} {scaled} {kept}
    ftl run fleets/d1 --out short/d1 {run} {short}
    python scripts/paper_page.py write --fleets fleets --scaled scaled --kept kept --short short

and the same for d2; runs made for this page: {made}. What differs from the profile:

{reductions}
Reach by stage, beside that of the printed recipe on all rows of these fleets:

{reach}"""
THRESHOLDS = """Shares are of models (one per node, or per target and cohort). Unsupervised: mean squared error > 0.5;
semi-supervised: the 98th percentile of training errors on normal rows; supervised: output > 0.5. `untrained` is the
network as initialised.
"""
SUMS = """A sum of squares over hundreds of features is hundreds of times the mean. All nodes' rows together:
"""
GAINS = """`local` is what the paper compares with: ten epochs. `local_long` is the node's own model after as many steps
as federation and fine-tuning take together. A gain is claimed only against both.
"""
DECODER = """Section 4.3.4 has the decoder of the received model made anew before fine-tuning. The same targets and
cohorts, with the decoder made anew and kept (supervised models have a head in its place). The semi-supervised threshold
is the 98th percentile of the training errors on normal rows: the smaller, the better the model reconstructs.
"""
CELLS = """Every pair is paper | ours, the arm `transfer`; d is printed for N = 10. The fleets are simulated and five
times smaller, so N = 10 is half of the fleet here and a tenth there.
"""
SHORT_TEXT = """The run **short**: the printed learning rate of 1e-6 itself, but 30 rounds and 100 steps per epoch.
"""

if __name__ == "__main__":
    main()
