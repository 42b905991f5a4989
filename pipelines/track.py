"""Stage track: every summary cell, every seed of it and the report of each dataset as runs in MLflow."""

import json
import os
import sys
from pathlib import Path

from ftl.config import Params
from ftl.tracking import log_results_folder, tracking_uri
from ftl.tracking.registry import register_or_say
from pipelines.stage import run


def main(params: Params, artifacts: str) -> None:
    at = Path(artifacts)
    store = tracking_uri(Path.cwd())
    tracked = log_results_folder(at, store, params)
    registered = register_or_say(at / "detectors", store, reachable=tracked.sent.warning is None)
    half = at / "tracked.json.half"
    half.write_text(json.dumps(tracked.as_json(), indent=1) + "\n")
    os.replace(half, at / "tracked.json")
    for sentence in (*tracked.sentences(), *registered):
        print(sentence, file=sys.stderr if sentence.startswith("Warning") else sys.stdout)


if __name__ == "__main__":
    run(main)
