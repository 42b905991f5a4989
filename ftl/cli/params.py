"""``ftl params``: a profile's parameters."""

import os
from pathlib import Path
from typing import Annotated

import typer
import yaml

from ftl.cli.options import Assignments, check


def params(
    profile: Annotated[
        str, typer.Argument(help="default, smoke, paper, or a yaml file that overlays default.")
    ] = "default",
    set_: Assignments = None,
    out: Annotated[Path | None, typer.Option(help="Write there instead of printing, for example params.yaml.")] = None,
) -> None:
    """Print a profile's parameters, all of them, checked.

    Example: ftl params paper -S federate.n_rounds=50 --out params.yaml
    """
    from ftl.config import override, read_profile

    values = override(read_profile(profile), set_ or [])
    check(values)
    text = yaml.safe_dump(values, sort_keys=False, default_flow_style=None, width=120)
    if out is None:
        typer.echo(text, nl=False)
        return
    half = out.with_name(out.name + ".half")
    half.write_text(text)
    os.replace(half, out)
    typer.echo(f"wrote {out}")
