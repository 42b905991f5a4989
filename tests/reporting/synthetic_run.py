"""Results tables of any size in the shape that evaluation writes, drawn at random: nothing was trained for them."""

from itertools import product

import numpy as np
import pandas as pd

from ftl.evaluation import summarise
from ftl.evaluation.results import RESULTS_SCHEMA
from ftl.randomness import generator
from ftl.reporting.run_tables import RunTables

PARADIGMS = ("unsupervised", "semi_supervised", "supervised")
N_TEST = 960
STEPS = {"local": 60, "local_long": 120, "transfer": 20, "full_fine_tune": 20, "single_source": 20}
SKILL = {"local": 0.55, "local_long": 0.6, "zero_shot": 0.45, "transfer": 0.62, "full_fine_tune": 0.62, "random": 0.02}
BASELINES = ("random", "pca", "ecod")
STATE_BYTES = 180_000


def synthetic_run(
    n_nodes: int = 8,
    n_participants: tuple[int, ...] = (2, 3, 4),
    seeds: tuple[int, ...] = (0, 1),
    n_draws: int = 2,
    datasets: tuple[str, ...] = ("d1", "d2"),
    paradigms: tuple[str, ...] = PARADIGMS,
    n_rounds: int = 5,
    quiet_nodes: int = 1,
) -> RunTables:
    """A run of the default shape: 2 policies x N x arms, and arms and baselines without a cohort.

    Args:
        quiet_nodes: The first nodes have no test anomaly.
    """
    nodes = [f"node-{k:03d}" for k in range(n_nodes)]
    parts = [
        part
        for dataset, paradigm, seed in product(datasets, paradigms, seeds)
        for part in _of_seed(dataset, paradigm, seed, nodes, n_participants, n_draws, n_rounds)
    ]
    results = _scored(pd.concat(parts, ignore_index=True), nodes, quiet_nodes)
    racks = [f"rack-{k // 4}" for k in range(n_nodes)]
    card = {"origin": "simulated", "protocol": "rigorous", "node_ids": nodes, "racks": racks, "n_features": 12}
    fleets = {dataset: card | {"fingerprint": f"made-up-{dataset}"} for dataset in datasets}
    summary = summarise(results, {dataset: dict(zip(nodes, racks, strict=True)) for dataset in datasets})
    return RunTables(
        results, summary, _rounds(results, n_rounds), _costs(datasets, paradigms, seeds), fleets=fleets,
        params={"seeds": list(seeds), "federate": {"n_rounds": n_rounds, "n_local_epochs": 1}, "local": {"n_epochs": 3},
                "detection": {"threshold": "protocol", "percentile": 98.0}},
    )  # fmt: skip


def _of_seed(dataset, paradigm, seed, nodes, sizes, n_draws, n_rounds):
    """The keys of all rows of one dataset, paradigm and seed, with steps and traffic."""
    random = generator(seed, "cohorts", dataset, paradigm)
    key = {"dataset": dataset, "protocol": "rigorous", "paradigm": paradigm, "seed": seed}
    baselines = BASELINES if paradigm == "unsupervised" else ()
    for arm in ("local", "local_long", "single_source", "centralised", *baselines):
        yield pd.DataFrame({**key, "arm": arm, "node": nodes, "n_train_steps": STEPS.get(arm, 0)})
    for policy, n in product(("top_n", "random_n"), sizes):
        for draw in range(1 if policy == "top_n" else n_draws):
            members = set(range(n)) if policy == "top_n" else set(random.permutation(len(nodes))[:n].tolist())
            cohort = {**key, "policy": policy, "n_participants": n, "draw": draw}
            targets = [node for k, node in enumerate(nodes) if k not in members]
            for arm in ("zero_shot", "transfer", "full_fine_tune"):
                yield pd.DataFrame(
                    {**cohort, "arm": arm, "node": targets, "role": "target", "n_train_steps": STEPS.get(arm, 0),
                     "bytes_sent": 0, "bytes_received": STATE_BYTES}
                )  # fmt: skip
            yield pd.DataFrame(
                {**cohort, "arm": "zero_shot", "node": [nodes[k] for k in sorted(members)], "role": "participant",
                 "n_train_steps": 0, "bytes_sent": n_rounds * STATE_BYTES, "bytes_received": n_rounds * STATE_BYTES}
            )  # fmt: skip


def _scored(keys, nodes, quiet_nodes):
    """Counts and metrics for every row; what follows from the counts does follow."""
    random = generator(0, "scores", len(keys))
    place = keys["node"].map({node: k for k, node in enumerate(nodes)}).to_numpy()
    n_anomalies = np.where(place < quiet_nodes, 0, 40 + place % 7)
    skill = np.clip(keys["arm"].map(SKILL).fillna(0.5) + random.normal(0, 0.12, len(keys)) + place % 5 * 0.03, 0.01, 1)
    tp = np.minimum(random.binomial(n_anomalies, skill), n_anomalies)
    fp = random.binomial(N_TEST - n_anomalies, 0.03)
    fn, tn, some = n_anomalies - tp, N_TEST - n_anomalies - fp, n_anomalies > 0
    nan = np.full(len(keys), np.nan)

    def ratio(part, whole, where):
        return np.divide(part, whole, out=nan.copy(), where=(whole > 0) & where)

    auroc = np.where(keys["arm"] == "random", 0.5 + 0.02 * (-1.0) ** place, 0.5 + skill / 2)
    loose = {name: np.where(some, np.clip(skill, 0, 1), np.nan) for name in ("mcc", "auprc", "vus_pr", "event_recall")}
    everywhere = np.ones(len(keys), dtype=bool)
    table = keys.assign(
        threshold=random.gamma(5, 0.2, len(keys)), tp=tp, fp=fp, tn=tn, fn=fn, n_test_rows=N_TEST,
        n_test_anomalies=n_anomalies, precision=ratio(tp, tp + fp, some), recall=ratio(tp, n_anomalies, some),
        tnr=ratio(tn, tn + fp, everywhere), f1=ratio(2 * tp, 2 * tp + fp + fn, some), accuracy=(tp + tn) / N_TEST,
        auroc=np.where(some, np.clip(auroc, 0, 1), np.nan), detection_delay=1.0, alarms_per_node_day=fp / 10,
        n_train_rows=500, training_seconds=keys["n_train_steps"] / 1000, **loose,
    )  # fmt: skip
    names = [name for name in RESULTS_SCHEMA.names if name in table]
    types = {"n_participants": "Int64", "draw": "Int64", "bytes_sent": "Int64", "bytes_received": "Int64"}
    return table[names].astype({name: kind for name, kind in types.items() if name in names})


def _rounds(results, n_rounds):
    keys = ["dataset", "paradigm", "policy", "n_participants", "draw", "seed"]
    cohorts = results.loc[results["policy"].notna(), keys].drop_duplicates()
    rounds = cohorts.merge(pd.DataFrame({"round": range(1, n_rounds + 1)}), how="cross")
    return rounds.assign(train_loss=1 / rounds["round"])


def _costs(datasets, paradigms, seeds):
    common = {"wall_seconds": 4.0, "cpu_seconds": 3.5, "peak_memory_bytes": 5e8, "energy_wh": np.nan,
              "energy_source": "not measured"}  # fmt: skip
    rows = [
        {"dataset": dataset, "stage": stage, "unit": f"{paradigm}-seed{seed}", "paradigm": paradigm, "seed": seed}
        for dataset, stage, paradigm, seed in product(datasets, ("local", "federate", "transfer"), paradigms, seeds)
    ]
    rows += [{"dataset": dataset, "stage": "prepare", "unit": "all"} for dataset in datasets]
    return pd.DataFrame([row | common for row in rows])
