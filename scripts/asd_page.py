"""Write docs/results/asd.md from two runs on the Application Server Dataset: python scripts/asd_page.py RAW SMOOTHED.

RAW:      ftl run asd --out RAW
SMOOTHED: ftl run asd --out SMOOTHED -S detection.smoothing_half_life=3
"""

import sys
from pathlib import Path

import pandas as pd

from ftl.evaluation.headline import overview_sentences
from ftl.evaluation.summary import read_summary
from ftl.reporting.tables import markdown

ARMS = {
    "policy": "Policy",
    "n_participants": "N",
    "arm": "Arm",
    "n_nodes": "Nodes",
    "f1_after": "F1",
    "fpr_after": "FPR",
    "auroc_after": "AUROC",
    "auprc_after": "AUPRC",
    "delta_f1": "ΔF1 vs local",
    "delta_auroc_vs_local_long": "ΔAUROC vs local_long",
}


def arms(summary: pd.DataFrame, paradigm: str) -> str:
    rows = summary[summary["paradigm"] == paradigm]
    table = rows[list(ARMS)].rename(columns=ARMS).copy()
    for name in table.columns:
        if table[name].dtype == float:
            sign = "+" if name.startswith("Δ") else ""
            table[name] = [f"{value:{sign}.3f}" if pd.notna(value) else "-" for value in table[name]]
        else:
            table[name] = ["-" if pd.isna(value) else str(value) for value in table[name]]
    return markdown(table)


def main(raw: str, smoothed: str) -> None:
    plain, smooth = (read_summary(Path(folder) / "summary.csv") for folder in (raw, smoothed))
    sentences = "\n".join(f"- {sentence}" for sentence in overview_sentences(plain))
    text = f"""# The Application Server Dataset

Real telemetry of 12 application servers (19 metrics, 5-minute windows, 30 days of training and 15 of test; Li et al.,
InterFusion, KDD 2021, MIT licence). Its publisher scaled every server over its whole life, test part included.
Rigorous protocol with the published split, default profile, {plain["n_nodes"].max()} nodes, two seeds. Numbers are
means over nodes whose test part has an anomaly; point by point, no adjustment. Labels exist only in the test part:
semi-supervised and supervised models borrow those of its first 40 % and are scored on the rest.

With a month of history a node needs nobody:

{sentences}

## Unsupervised

{arms(plain, "unsupervised")}

## Unsupervised, scores smoothed (half-life 3 windows = 15 minutes)

{arms(smooth, "unsupervised")}

## Semi-supervised

{arms(plain, "semi_supervised")}

## Supervised

Labels of the first days do not tell what the later anomalies look like: ranking is near chance, and transfer makes it
worse.

{arms(plain, "supervised")}

This page is written by `scripts/asd_page.py` from the results of `ftl run`.
"""
    page = Path(__file__).resolve().parent.parent / "docs" / "results" / "asd.md"
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
