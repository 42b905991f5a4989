"""Cells of text for what ``ftl paper`` shows."""

from collections.abc import Iterator, Sequence

import pandas as pd

from ftl.paper.reading import Reading

UNDEFINED = "-"
_SAME = {True: "yes", False: "no", None: UNDEFINED}
# Heading -> (column, digits, with sign); the terminal shows those of _SHORT
_COLUMNS: dict[str, tuple[str, int, bool]] = {
    "F1 (AE)": ("f1_local_participants", 2, False),
    "F1 (FL)": ("f1_federated_participants", 2, False),
    "Targets": ("n_targets", 0, False),
    "P before": ("precision_before", 2, False),
    "R before": ("recall_before", 2, False),
    "TNR before": ("tnr_before", 2, False),
    "F1 before": ("f1_before", 2, False),
    "P after": ("precision_after", 2, False),
    "R after": ("recall_after", 2, False),
    "TNR after": ("tnr_after", 2, False),
    "F1 after": ("f1_after", 2, False),
    "ΔF1": ("delta_f1", 2, True),
    "d": ("cohens_d", 2, False),
}
_SHORT = ("F1 before", "R after", "TNR after", "F1 after", "ΔF1", "d")


def cell_tables(cells: pd.DataFrame, short: bool) -> Iterator[tuple[str, pd.DataFrame]]:
    """Paired cells, a table per dataset, protocol and paradigm, and a title for each; cells are "paper | ours"."""
    paired = cells[cells["partner"] == "both"]
    for (dataset, ours, protocol, paradigm), part in paired.groupby(
        ["dataset", "ours", "protocol", "paradigm"], sort=False
    ):
        headings = _SHORT if short else tuple(_COLUMNS)
        table = pd.DataFrame({"Policy": part["policy"], "N": part["n_participants"].astype(str)})
        for heading in headings:
            name, digits, signed = _COLUMNS[heading]
            table[heading] = [
                f"{number(a, digits, signed)} | {number(b, digits, signed)}"
                for a, b in zip(part[f"paper_{name}"], part[f"ours_{name}"], strict=True)
            ]
        tested = part["ours_p_t"].notna()
        single, corrected = (part[f"ours_{name}"].where(tested, None) for name in ("significant_t", "significant"))
        table["p < .05"] = [f"{_yes(a)} | {_yes(b)}" for a, b in zip(part["paper_significant"], single, strict=True)]
        table["after Holm"] = [_yes(value) for value in corrected]
        table["Nodes with F1"] = [number(value, 0) for value in part["ours_n_nodes"]]
        table["ΔF1 vs local_long"] = [number(v, 2, True) for v in part["ours_delta_f1_vs_local_long"]]
        yield f"Paper's {dataset}, our {ours} ({protocol} protocol), {paradigm}", table


def means_table(means: pd.DataFrame) -> pd.DataFrame:
    """Table 5 beside ours."""
    return pd.DataFrame(
        {
            "Dataset": [f"{paper} | {ours}" for paper, ours in zip(means["dataset"], means["ours"], strict=True)],
            "Protocol": means["protocol"],
            "Paradigm": means["paradigm"],
            "Policy": means["policy"],
            "Table 5": [number(value, 2, True) for value in means["printed"]],
            "Paper, same N": [number(value, 2, True) for value in means["paper_mean"]],
            "Ours, same N": [number(value, 2, True) for value in means["ours_mean"]],
            "N's": means["n_cells"].astype(str),
        }
    )


def readings_table(read: Sequence[Reading]) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "Point": [reading.number for reading in read],
            "What": [reading.what for reading in read],
            "Paper, read literally": [reading.paper for reading in read],
            "This run": [reading.ours for reading in read],
            "Same": [_SAME[reading.same] for reading in read],
        }
    )


def number(value: object, digits: int = 2, signed: bool = False) -> str:
    """A rounded number, "-" where it is undefined; a rounded zero carries no minus sign."""
    if not isinstance(value, int | float) or value != value:
        return UNDEFINED
    written = f"{float(value):{'+' if signed else ''}.{digits}f}"
    return written.replace("-", "+" if signed else "") if float(written) == 0 else written


def text(value: object) -> str:
    """Any value of a finding's rows."""
    if isinstance(value, bool):
        return _yes(value)
    return (
        f"{value:.4g}" if isinstance(value, float) and value == value else UNDEFINED if value != value else str(value)
    )


def _yes(value: object) -> str:
    return UNDEFINED if value is None or value is pd.NA or value != value else "yes" if value else "no"
