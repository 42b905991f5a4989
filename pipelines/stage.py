"""What every stage's command line has in common."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from ftl.config import read_pipeline_params
from ftl.errors import UserError, disk_full_message, is_disk_full

WORK = Path("work")
"""Where unfinished stages keep what they have computed, so that a killed `dvc repro` goes on from there."""


def run(main: Callable[..., None]) -> None:
    """Call a stage with params.yaml and the command line's words; a user's mistake ends with a message and code 2."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    try:
        main(read_pipeline_params(), *sys.argv[1:])
    except UserError as error:
        _end(str(error), 2)
    except KeyboardInterrupt:
        _end("interrupted; `make repro` goes on from here", 130)
    except Exception as error:
        if is_disk_full(error):
            _end(disk_full_message(error), 2)
        raise


def _end(message: str, code: int) -> NoReturn:
    print(f"{Path(sys.argv[0]).stem}: {message}", file=sys.stderr)
    sys.exit(code)
