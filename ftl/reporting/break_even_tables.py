"""Table 7: how large a fleet must be for federation to cost less, in what was measured, else in gradient steps."""

from math import inf, isfinite, isnan

import pandas as pd

from ftl.evaluation.break_even import break_even, break_even_table
from ftl.evaluation.cost import RANKED_POLICIES
from ftl.reporting.blocks import ReportTable
from ftl.reporting.cost_tables import mean_steps, planned
from ftl.reporting.formats import column, count, number, seconds, text, whole
from ftl.reporting.run_tables import RunTables
from ftl.reporting.tables import PARADIGMS, POLICIES, caption, ordered


def break_even_tables(run: RunTables) -> list[ReportTable]:
    """From how many nodes on federation costs less than training every node alone; one table per dataset and unit."""
    numbers = break_even_rows(run)
    tables = []
    for dataset, protocol in run.scopes:
        here = numbers[(numbers["dataset"] == dataset) & (numbers["protocol"] == protocol)]
        for unit in ordered(here["unit"], list(_UNITS)):
            tables.append(_break_even_table(run, here[here["unit"] == unit].reset_index(drop=True), str(unit)))
    return tables


def break_even_rows(run: RunTables) -> pd.DataFrame:
    """One row per cohort and unit, by :func:`ftl.evaluation.break_even.break_even`.

    The unit is what was measured, CPU seconds and Wh of energy; where a paradigm has no measured cost, gradient steps.

    Returns:
        dataset, protocol, paradigm, policy, n_participants, unit; costs in that unit: federation (all rounds of all
        participants), per_target, local, local_long; nodes_vs_local, nodes_vs_local_long: the smallest fleet,
        participants counted, for which federation costs less (inf: none, NaN: unknown).
    """
    counted, measured = _counted(run), _measured(run)
    known = measured.dropna(subset=["federation", "per_target", "local"])
    paradigm = ["dataset", "protocol", "paradigm"]
    timed = pd.MultiIndex.from_frame(known.loc[known["unit"] == "cpu_seconds", paradigm])
    rest = counted[~pd.MultiIndex.from_frame(counted[paradigm]).isin(timed)]
    parts = [part for part in (known, rest) if len(part)]
    if not parts:
        return counted
    rows = pd.concat(parts, ignore_index=True)
    place = counted[_CELL].reset_index().rename(columns={"index": "place"})  # the cells in their usual order
    return rows.merge(place, on=_CELL).sort_values("place", kind="stable", ignore_index=True).drop(columns="place")


_CELL = ["dataset", "protocol", "paradigm", "policy", "n_participants"]
_SPENT = ["federation", "per_target", "local", "local_long"]
_UNITS = {"cpu_seconds": "CPU time", "energy_wh": "energy (Wh)", "steps": "gradient steps"}
_SHOW = {"cpu_seconds": seconds, "energy_wh": lambda value: number(value, 4), "steps": whole}


def _counted(run: RunTables) -> pd.DataFrame:
    """The rows of :func:`break_even_rows` in gradient steps."""
    rows = []
    for dataset, protocol in run.scopes:
        results = run.results[(run.results["dataset"] == dataset) & (run.results["protocol"] == protocol)]
        for paradigm in ordered(results["paradigm"], PARADIGMS):
            part = results[results["paradigm"] == paradigm]
            steps = mean_steps(part)
            cohorts = part.loc[part["policy"].notna(), ["policy", "n_participants"]].drop_duplicates()
            for policy in ordered(cohorts["policy"], POLICIES):
                for n in sorted(int(n) for n in cohorts.loc[cohorts["policy"] == policy, "n_participants"]):
                    spent = (n * steps["federated"], steps["tuned"], steps["local"], steps["long"])
                    ranking = steps["local"] if policy in RANKED_POLICIES else 0.0
                    rows.append(
                        dict(zip(_CELL, (dataset, protocol, paradigm, policy, n), strict=True))
                        | {"unit": "steps", **dict(zip(_SPENT, spent, strict=True))}
                        | {
                            f"nodes_vs_{name}": fleet_size(n, break_even(*spent[:2], alone, n, ranking).n_targets)
                            for name, alone in (("local", steps["local"]), ("local_long", steps["long"]))
                        }
                    )
    return pd.DataFrame(rows, columns=_COLUMNS)


_COLUMNS = [*_CELL, "unit", *_SPENT, "nodes_vs_local", "nodes_vs_local_long"]


def _measured(run: RunTables) -> pd.DataFrame:
    """The same in CPU seconds and Wh, NaN where costs.csv has nothing; empty without it."""
    epochs = [planned(run, *name) for name in (("local", "n_epochs"), ("federate", "n_rounds"))]
    epochs.append(planned(run, "federate", "n_local_epochs"))
    if run.costs is None or not all(epochs):
        return pd.DataFrame(columns=_COLUMNS)
    table = break_even_table(run.results, run.costs, *epochs)
    sides = [table[table["against"] == name].set_index([*_CELL, "unit"]) for name in ("local", "local_long")]
    rows = sides[0][["federation", "fine_tuning_per_target"]].copy()
    rows.columns = pd.Index(_SPENT[:2])
    for name, side in zip(("local", "local_long"), sides, strict=True):
        rows[name] = side["local_per_node"]
        n_participants = side.index.get_level_values("n_participants")
        rows[f"nodes_vs_{name}"] = [
            fleet_size(int(n), found) for n, found in zip(n_participants, side["n_targets"], strict=True)
        ]
    return rows.reset_index()[_COLUMNS]


def fleet_size(n_participants: int, n_targets: float) -> float:
    """Nodes of the fleet at the break-even: participants and targets, of which there is one at least."""
    return n_participants + max(n_targets, 1.0) if isfinite(n_targets) else n_targets


def _break_even_table(run: RunTables, part: pd.DataFrame, unit: str) -> ReportTable:
    shown = part[["paradigm", "policy"]].rename(columns={"paradigm": "Paradigm", "policy": "Policy"})
    shown["N"] = column(part, "n_participants", whole)
    for heading, name in {
        "Federation, all participants": "federation", "Per target": "per_target", "Per node, local": "local",
        "Per node, local_long": "local_long",
    }.items():  # fmt: skip
        shown[heading] = column(part, name, _SHOW[unit])
    shown["Cheaper than local from"] = column(part, "nodes_vs_local", fleet_words)
    shown["Cheaper than local_long from"] = column(part, "nodes_vs_local_long", fleet_words)
    what = f"Table 7: break-even fleet size in {_UNITS[unit]}"
    where = caption(run, what, str(part["dataset"].iloc[0]), str(part["protocol"].iloc[0]))
    return ReportTable("break_even", where, shown, part, number=7)


def fleet_words(n_nodes: float) -> str:
    if isnan(n_nodes):
        return text(None)
    return "no fleet size" if n_nodes == inf else count(int(n_nodes), "node")
