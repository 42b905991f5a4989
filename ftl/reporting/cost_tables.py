"""Table 7: time, memory, energy and bytes.

Per-node time is CPU time, since nodes are trained in stacks: a stack's time, shared out by gradient steps.
"""

from collections.abc import Mapping
from math import nan
from typing import Any

import pandas as pd

from ftl.evaluation.results import BASELINES
from ftl.reporting.blocks import ReportTable
from ftl.reporting.formats import column, data_size, number, seconds, text, whole
from ftl.reporting.run_tables import RunTables
from ftl.reporting.tables import PARADIGMS, POLICIES, caption, ordered

NOT_MEASURED = "not measured"
_STAGES = ["prepare", "baselines", "local", "federate", "transfer"]
_STEPS = {  # arm -> what it is called in the paper's Table 7, or here
    "local": "local training (AE)",
    "local_long": "local training, equal steps (local_long)",
    "transfer": "fine-tuning of the decoder (transfer)",
    "full_fine_tune": "full fine-tuning",
    "single_source": "fine-tuning from one node's model (single_source)",
    "centralised": "pooled training on a server (centralised): raw rows sent",
}
_TRAFFIC = ("bytes_sent", "bytes_received")


def node_cost_tables(run: RunTables) -> list[ReportTable]:
    """What one node spends on each step of the method; one table per dataset and paradigm."""
    tables = []
    for dataset, protocol in run.scopes:
        results = run.results[(run.results["dataset"] == dataset) & (run.results["protocol"] == protocol)]
        for paradigm in ordered(results["paradigm"], PARADIGMS):
            rows = node_costs(run, results[results["paradigm"] == paradigm], dataset, paradigm)
            if not rows:
                continue
            numbers = pd.DataFrame(rows)
            for position, (name, value) in enumerate(
                {"dataset": dataset, "protocol": protocol, "paradigm": paradigm}.items()
            ):
                numbers.insert(position, name, value)
            shown = pd.DataFrame({"Step": numbers["step"]})
            shown["Gradient steps"] = column(numbers, "gradient_steps", whole)
            shown["CPU time"] = column(numbers, "cpu_seconds", seconds)
            shown["Bytes sent"] = column(numbers, "bytes_sent", data_size)
            shown["Bytes received"] = column(numbers, "bytes_received", data_size)
            what = "Table 7: cost per node and model"
            tables.append(
                ReportTable("node_costs", caption(run, what, dataset, protocol, paradigm), shown, numbers, number=7)
            )
    return tables


def node_costs(run: RunTables, results: pd.DataFrame, dataset: str, paradigm: str) -> list[dict[str, Any]]:
    """One dict per step: step, gradient_steps, cpu_seconds, bytes_sent, bytes_received; means over nodes and runs."""
    n_rounds = rounds_of(run, dataset)
    steps = mean_steps(results)
    per_round = round_seconds(run, dataset, paradigm)
    if not traffic_is_known(run):
        results = results.drop(columns=[name for name in _TRAFFIC if name in results])
    results = _of_first_policy(results)
    members = results[(results["role"] == "participant").fillna(False).to_numpy(dtype=bool)]
    traffic = {name: _mean(members, name) for name in _TRAFFIC}
    rows = [_row(what, results[results["arm"] == arm]) for arm, what in _STEPS.items() if (results["arm"] == arm).any()]
    for row in rows:
        if row["step"] == _STEPS["centralised"]:  # no node trains: a server does
            row["gradient_steps"] = row["cpu_seconds"] = nan
    if len(members) and n_rounds:
        whole_run: dict[str, Any] = {
            "step": f"federated training of a participant, {n_rounds} rounds",
            "gradient_steps": steps["federated"],
            "cpu_seconds": per_round * n_rounds,
            **traffic,
        }
        one = {name: value / n_rounds for name, value in whole_run.items() if name != "step"}
        one["bytes_received"] = traffic["bytes_received"] / (n_rounds + 1)  # the initial model is received besides
        rows[2:2] = [{"step": "one federated round of a participant", **one}, whole_run]
    baselines = [arm for arm in BASELINES if arm not in ("random", "untrained") and (results["arm"] == arm).any()]
    return rows + [_row(f"baseline {arm}", results[results["arm"] == arm]) for arm in baselines]


def _of_first_policy(results: pd.DataFrame) -> pd.DataFrame:
    """Rows without a cohort and those of the headline's policy: what is sent to be ranked differs by policy."""
    policies = ordered(results["policy"].dropna(), POLICIES)
    return results[results["policy"].isna() | (results["policy"] == policies[0])] if policies else results


def mean_steps(results: pd.DataFrame) -> dict[str, float]:
    """Gradient steps of a node: local, long, tuned (transfer) and federated = long - tuned, as local_long is defined
    by as many steps as federation and fine-tuning take together."""
    means = results["n_train_steps"].astype("float64").groupby(results["arm"]).mean()
    local, long, tuned = (float(means.get(arm, nan)) for arm in ("local", "local_long", "transfer"))
    return {"local": local, "long": long, "tuned": tuned, "federated": long - tuned}


def round_seconds(run: RunTables, dataset: str, paradigm: str) -> float:
    """CPU seconds of one participant's round: the federate units' time over all participants' rounds; NaN if unknown.

    The unit also trains the pooled model of the arm centralised, so this is an upper bound where that arm ran.
    """
    if run.costs is None or run.rounds is None:
        return nan
    costs = run.costs[(run.costs["dataset"] == dataset) & (run.costs["stage"] == "federate")]
    costs = costs[costs["paradigm"] == paradigm]
    rounds = run.rounds[(run.rounds["dataset"] == dataset) & (run.rounds["paradigm"] == paradigm)]
    cohorts = rounds[rounds["policy"].notna()]
    last = cohorts.groupby(["policy", "n_participants", "draw", "seed"])["round"].max().reset_index()
    participant_rounds = float((last["n_participants"] * last["round"]).sum())
    spent = float(costs["cpu_seconds"].sum(min_count=1))
    return spent / participant_rounds if participant_rounds else nan


def rounds_of(run: RunTables, dataset: str) -> int:
    """Federated rounds of a cohort: as the parameters say, else as the rounds table counts them; 0 if unknown."""
    rounds = planned(run, "federate", "n_rounds")
    if rounds:
        return rounds
    counted = None if run.rounds is None else run.rounds.loc[run.rounds["dataset"] == dataset, "round"]
    return 0 if counted is None or counted.empty else int(counted.max())


def planned(run: RunTables, section: str, name: str) -> int:
    """A whole number of the parameters; 0 where it is not recorded."""
    settings = run.params.get(section)
    value = settings.get(name) if isinstance(settings, Mapping) else None
    return value if isinstance(value, int) else 0


def traffic_is_known(run: RunTables) -> bool:
    """Did the run count bytes? Federation without a byte sent was not counted."""
    return "bytes_sent" in run.results and bool(run.results["bytes_sent"].fillna(0).sum() > 0)


def stage_cost_tables(run: RunTables) -> list[ReportTable]:
    """What each stage took on this machine; one table per dataset. Empty without costs.csv."""
    if run.costs is None:
        return []
    tables = []
    for dataset, protocol in run.scopes:
        here = run.costs[run.costs["dataset"] == dataset]
        if here.empty:
            continue
        numbers = _stages(here)
        numbers.insert(0, "dataset", dataset)
        numbers.insert(1, "protocol", protocol)
        shown = pd.DataFrame({"Stage": numbers["stage"], "Paradigm": column(numbers, "paradigm", text)})
        shown["Parts"] = column(numbers, "n_units", whole)
        shown["Wall time, sum of parts"] = column(numbers, "wall_seconds", seconds)
        shown["CPU time"] = column(numbers, "cpu_seconds", seconds)
        shown["Peak memory of a part"] = column(numbers, "peak_memory_bytes", data_size)
        shown["Energy"] = [
            f"{NOT_MEASURED} here" if pd.isna(value) else f"{number(value, 3)} Wh ({source})"
            for value, source in zip(numbers["energy_wh"], numbers["energy_source"], strict=True)
        ]
        what = "Table 7: cost per stage on the machine that ran it"
        tables.append(ReportTable("stage_costs", caption(run, what, dataset, protocol), shown, numbers, number=7))
    return tables


def _stages(costs: pd.DataFrame) -> pd.DataFrame:
    """Units summed up by stage and paradigm; energy stays unknown where none of them was measured."""
    rows = []
    for (stage, paradigm), units in costs.groupby(["stage", "paradigm"], dropna=False, sort=False):
        sources = sorted({str(s) for s in units["energy_source"].dropna() if s != NOT_MEASURED})
        rows.append(
            {
                "stage": stage,
                "paradigm": paradigm,
                "n_units": len(units),
                "wall_seconds": units["wall_seconds"].sum(min_count=1),
                "cpu_seconds": units["cpu_seconds"].sum(min_count=1),
                "peak_memory_bytes": units["peak_memory_bytes"].max(),
                "energy_wh": units["energy_wh"].sum(min_count=1),
                "energy_source": ", ".join(sources) or NOT_MEASURED,
            }
        )
    table = pd.DataFrame(rows)
    stages, paradigms = ordered(table["stage"], _STAGES), ordered(table["paradigm"], PARADIGMS)
    rank = [
        (stages.index(stage), -1 if pd.isna(paradigm) else paradigms.index(paradigm))
        for stage, paradigm in zip(table["stage"], table["paradigm"], strict=True)
    ]
    return table.iloc[sorted(range(len(rank)), key=rank.__getitem__)].reset_index(drop=True)


def _row(what: str, runs: pd.DataFrame) -> dict[str, Any]:
    return {
        "step": what,
        "gradient_steps": _mean(runs, "n_train_steps"),
        "cpu_seconds": _mean(runs, "training_seconds"),
        **{name: _mean(runs, name) for name in _TRAFFIC},
    }


def _mean(runs: pd.DataFrame, name: str) -> float:
    return float(runs[name].astype("float64").mean()) if name in runs and len(runs) else nan
