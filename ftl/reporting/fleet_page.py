"""A described fleet as one HTML page that needs nothing else, and beside it the same in JSON and full tables in CSV."""

import base64
import json
import os
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from matplotlib.figure import Figure

from ftl.data.inspection import Description
from ftl.data.prepare_report import describe_report
from ftl.reporting import fleet_tables as tables
from ftl.reporting.fleet_figures import coverage_map, drift_bars, label_map, node_scatter, png, rows_of_map

PAGE, JSON, NODES, FEATURES = "description.html", "description.json", "nodes.csv", "features.csv"


def write_description(description: Description, folder: Path) -> Path:
    """Write description.json, nodes.csv, features.csv and, last, description.html.

    Args:
        description: The fleet.
        folder: Made where it is missing; an earlier description there is replaced, other files are left alone.

    Returns:
        The path of the page.

    Raises:
        OSError: If a file cannot be written; no half of it is left.
    """
    folder.mkdir(parents=True, exist_ok=True)
    content = {
        JSON: json.dumps(description.as_json(), indent=1, allow_nan=False, ensure_ascii=False) + "\n",
        NODES: description.nodes.to_csv(index=False),
        FEATURES: description.features.to_csv(index=False),
        PAGE: page(description),
    }
    for name, text in content.items():
        half = folder / f".{name}.half"
        try:
            half.write_text(text, encoding="utf-8")
            os.replace(half, folder / name)
        except BaseException:
            half.unlink(missing_ok=True)
            raise
    return folder / PAGE


def page(description: Description) -> str:
    """The page as HTML text, pictures inlined."""
    environment = Environment(
        loader=PackageLoader("ftl.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    inspection = description.inspection
    return environment.get_template("fleet.html.j2").render(
        name=inspection.name,
        origin=inspection.origin,
        verdict=description.verdict,
        prepared=describe_report(dict(description.report)) if description.report else [],
        findings=description.findings,
        overview=tables.overview(description),
        tables={make.__name__: make(description) for make in tables.TABLES},
        pictures={
            "coverage": _inline(coverage_map(inspection)),
            "labels": _inline(label_map(inspection)),
            "nodes": _inline(node_scatter(description)),
            "drift": _inline(drift_bars(description)),
        },
        rows_of_maps=rows_of_map(inspection).kind,
        left_out=inspection.grid.left_out,
        has_split=any(node.has_split for node in inspection.nodes),
    )


def _inline(figure: Figure | None) -> Markup | None:
    """A picture as the value of an img's src."""
    if figure is None:
        return None
    return Markup("data:image/png;base64,") + base64.b64encode(png(figure)).decode("ascii")
