"""Write docs/simulator.md and its pictures: python scripts/simulator_page.py [--real FOLDER] [--seeds N].

--real: the folder with m100_daily, m100_label_stats and m100_rack0_sample; without it the pictures show the real
machine by the values and bands of ftl/data/simulation/reference.csv alone. --reference writes that file anew.
--table prints the table of one seed and writes nothing; with --outside only what lies outside its band.
"""

import argparse
import inspect
import json
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ftl.data.node_table import ANOMALOUS
from ftl.data.simulation.calibration import NODES_PER_RACK, NodeDays
from ftl.data.simulation.features import KINDS
from ftl.data.simulation.measurement import Measured, calibration_table, measure_simulator, read_coverage
from ftl.data.simulation.reference import COVERAGE_DAYS, COVERAGE_RACKS, PART_DAYS, measure, real_node_days
from ftl.data.simulation.source import SimulatedSource
from ftl.reporting import simulator_figures
from ftl.reporting.tables import markdown

ROOT = Path(__file__).resolve().parents[1]
PAGE, PICTURES, AUROC = "docs/simulator.md", "docs/images", "docs/results/simulator_auroc.json"
REFERENCE = "ftl/data/simulation/reference.csv"
WINDOWS_PER_DAY = 96

GROUPS = {
    "power": "Node power, daily means of ordinary nodes",
    "ambient": "Inlet temperature, daily means",
    "cpu": "Processors, daily means of ordinary nodes",
    "reboots": "Reboots",
    "coverage": "Share of node-days that lose more than so many percent of their telemetry",
    "outages": "Nodes that lose more than half a day",
    "labels": "Labels",
    "rest": "Levels at rest",
    "load_to_rest": "Load (about 1400 W) relative to rest",
    "together": "Correlations over rest and load",
    "windows": "Single windows",
}


def main() -> None:
    arguments = read_arguments()
    real = Path(arguments.real) if arguments.real else None
    if arguments.reference:
        if real is None:
            sys.exit("--reference needs --real: the bands are computed from recordings")
        measure(real).to_csv(ROOT / REFERENCE)
        return
    measured = measure_simulator(arguments.kind, arguments.seed if arguments.table else 0)
    table = calibration_table(measured.statistics)
    if arguments.table:
        shown = table[~table["inside"]] if arguments.outside else table
        print(shown.drop(columns=["source", "whole"]).round(3).to_string())
        print(f"{int(table['inside'].sum())} of {len(table)} inside their bands")
        return
    table = with_other_seeds(table, arguments.kind, arguments.seeds)
    draw(arguments.kind, measured, table, real)
    (ROOT / PAGE).write_text(page(arguments.kind, table, arguments.seeds), encoding="utf-8")


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", metavar="FOLDER", help="folder with the recordings")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="seeds for the spread, default 5")
    parser.add_argument("--kind", default="d2", choices=tuple(KINDS), help="kind of fleet, default d2")
    parser.add_argument("--seed", type=int, default=0, help="with --table: seed, default 0")
    parser.add_argument("--table", action="store_true", help="print the table and stop")
    parser.add_argument("--outside", action="store_true", help="with --table: only rows outside their bands")
    parser.add_argument("--reference", action="store_true", help="write the bands anew and stop")
    return parser.parse_args()


def with_other_seeds(table: pd.DataFrame, kind: str, n_seeds: int) -> pd.DataFrame:
    """The table with the least and the greatest value over seeds 0 to n_seeds - 1."""
    values = [table["simulated"]]
    values += [pd.Series(measure_simulator(kind, seed).statistics)[table.index] for seed in range(1, n_seeds)]
    over_seeds = pd.concat(values, axis=1)
    inside = over_seeds.ge(table["low"], axis=0) & over_seeds.le(table["high"], axis=0)
    return table.assign(least=over_seeds.min(axis=1), greatest=over_seeds.max(axis=1), seeds_inside=inside.sum(axis=1))


def draw(kind: str, measured: Measured, table: pd.DataFrame, recordings: Path | None) -> None:
    """All pictures of the page."""
    real = None if recordings is None else real_node_days(recordings)
    quarter = None if real is None else over(real, "2022-01-01", PART_DAYS)
    year = None if real is None else over(real, "2021-06-01", COVERAGE_DAYS).coverage[: COVERAGE_RACKS * NODES_PER_RACK]
    labels = measured.labels
    rates = (labels["anomalous_rows"] / (labels["rows"] - labels["unknown_rows"])).to_numpy()
    pictures: dict[str, Figure] = {
        "levels": simulator_figures.node_levels(measured.days, table, quarter),
        "variance": simulator_figures.variance_parts(table),
        "faults": simulator_figures.faults(table, rates, measured.coverage, None if real is None else real.coverage),
        "coverage": simulator_figures.coverage_maps(measured.coverage, year),
        "week": simulator_figures.weeks(eventful_week(kind)),
    }
    for name, figure in pictures.items():
        simulator_figures.save_small(figure, ROOT / PICTURES / f"simulator_{name}.png")


def over(days: NodeDays, since: str, n_days: int) -> NodeDays:
    start = (pd.Timestamp(since) - pd.Timestamp("2020-03-09")).days
    return days.take(np.arange(len(days.rack)), slice(start, start + n_days))


def eventful_week(kind: str, n_shown: int = 4) -> list[simulator_figures.Week]:
    """Nodes with faults of different kinds, 6 to 60 hours long, in the week of 90 days that has most of such kinds."""
    source = SimulatedSource(kind, 160, 90 * WINDOWS_PER_DAY, 0, nodes_per_rack=NODES_PER_RACK)
    arrived = np.nan_to_num(read_coverage(source)).mean(axis=0)
    faults = [(node, fault) for node in source.node_ids() for fault in source.faults_of(node)]
    weeks = []
    for first in range(84):
        if arrived[first : first + 7].min() > 0.9:
            inside = [(node, f) for node, f in faults if 1 <= f.start / WINDOWS_PER_DAY - first < 5]
            weeks.append((first, {f.kind: (node, f) for node, f in inside if 24 <= f.stop - f.start <= 240}))
    first, by_kind = max(weeks, key=lambda week: len(week[1]))
    shown = list(by_kind.values())[:n_shown]
    return [one_week(source, node, fault.kind, WINDOWS_PER_DAY * first) for node, fault in shown]


def one_week(source: SimulatedSource, node_id: str, fault: str, first: int) -> simulator_figures.Week:
    """Seven days of one node, from window `first` on."""
    table = source.read_metrics(node_id, ["total_power", "gpu0_core_temp", "ambient"])
    window = (table.time - int(source.fleet_series.time[0])) // 900
    values = np.full((source.n_windows, 3), np.nan)
    values[window] = table.values
    shown = slice(first, first + 7 * WINDOWS_PER_DAY)
    power, gpu, ambient = values[shown].T
    anomalous = source.labels_of(node_id)[shown] == ANOMALOUS
    title = f"{node_id}, what really happens: {fault.replace('_', ' ')}"
    return simulator_figures.Week(title, np.arange(len(power)) / WINDOWS_PER_DAY, power, gpu, ambient, anomalous)


def page(kind: str, table: pd.DataFrame, n_seeds: int) -> str:
    text = (ROOT / "scripts/simulator_page.md").read_text(encoding="utf-8")
    return text.format(
        kind=kind, n_seeds=n_seeds, n_inside=int(table["inside"].sum()), n_statistics=len(table),
        outside=outside_sentences(table), over_seeds=seeds_sentence(table, n_seeds),
        tables="\n".join(group_tables(table)), auroc=auroc_section(),
        not_modelled=not_modelled(),
    )  # fmt: skip


def outside_sentences(table: pd.DataFrame) -> str:
    outside = table[~table["inside"]]
    if outside.empty:
        return "None lies outside its band."
    rows = [
        f"- `{name}`: {short(row['simulated'])}, band {short(row['low'])} to {short(row['high'])} {row['unit']}"
        for name, row in outside.iterrows()
    ]
    return "Outside their bands:\n\n" + "\n".join(rows)


def seeds_sentence(table: pd.DataFrame, n_seeds: int) -> str:
    """How many values of the seeds lie inside on which the simulator was not adjusted."""
    if n_seeds < 2:
        return ""
    others = table["seeds_inside"] - table["inside"]
    left = [f"`{name}`" for name in table.index[others < n_seeds - 1]]
    return f"Of seeds 1 to {n_seeds - 1}, {int(others.sum())} of {(n_seeds - 1) * len(table)} values lie inside" + (
        f"; outside at least once: {', '.join(left)}." if left else "."
    )


def group_tables(table: pd.DataFrame) -> list[str]:
    group = table.index.str.split(".").str[0]
    sections = []
    for name, title in GROUPS.items():
        rows = table[group == name]
        shown = pd.DataFrame({
            "Statistic": [key.removeprefix(f"{name}.") for key in rows.index],
            "Unit": rows["unit"],
            "Real": rows["real"].map(short),
            "Simulated": rows["simulated"].map(short),
            "Over seeds": [f"{short(a)} to {short(b)}" for a, b in zip(rows["least"], rows["greatest"], strict=True)],
            "Band": [f"{short(a)} to {short(b)}" for a, b in zip(rows["low"], rows["high"], strict=True)],
            "Inside": ["yes" if inside else "**no**" for inside in rows["inside"]],
            "Rule": rows["rule"],
        })  # fmt: skip
        sections.append(f"### {title}\n\n{markdown(shown)}")
    return sections


def auroc_section() -> str:
    """One line per run in docs/results/simulator_auroc.json (scripts/simulator_auroc.py), if it is there."""
    path = ROOT / AUROC
    if not path.exists():
        return f"Not measured yet: `{AUROC}` is not there."
    found = json.loads(path.read_text(encoding="utf-8"))
    rows = [
        {"Fleet": one["fleet"], "AUROC": f"{one['auroc']:.3f}", "Nodes": one["n_nodes"], "How": one["how"]}
        for one in found["fleets"]
    ]
    rows.append({
        "Fleet": "Marconi100, published", "AUROC": "0.734, 0.747", "Nodes": 980,
        "How": "dense autoencoder per node, unsupervised and semi-supervised (RUAD's comparison; RUAD itself: 0.767)",
    })  # fmt: skip
    return f"{markdown(pd.DataFrame(rows))}\n{found['explanation']}"


def not_modelled() -> str:
    """The list in the docstring of SimulatedSource, so that it stands in one place."""
    lines = (inspect.getdoc(SimulatedSource) or "").splitlines()
    first = next(k for k, line in enumerate(lines) if line.startswith("* "))
    last = next(k for k in range(first, len(lines)) if not lines[k].strip())
    return "\n".join(f"-{line[1:]}" if line.startswith("* ") else line for line in lines[first:last])


def short(value: float) -> str:
    """Four significant digits at most, no exponent."""
    if pd.isna(value):
        return "-"
    digits = (
        0 if abs(value) >= 100 else 1 if abs(value) >= 20 else 2 if abs(value) >= 1 else 3 if abs(value) >= 0.1 else 4
    )
    return f"{value:.{digits}f}"


if __name__ == "__main__":
    main()
