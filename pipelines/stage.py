"""What every stage's command line has in common."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from ftl.config import Params, read_params
from ftl.errors import UserError

WORK = Path("work")
"""Where unfinished stages keep what they have computed, so that a killed `dvc repro` goes on from there."""


def run(main: Callable[..., None]) -> None:
    """Call a stage with params.yaml and the command line's words; a user's mistake ends with a message and code 2."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        main(_params(), *sys.argv[1:])
    except UserError as error:
        print(f"{Path(sys.argv[0]).stem}: {error}", file=sys.stderr)
        sys.exit(2)


def _params() -> Params:
    return read_params(Path("params.yaml"))
