"""Stage tune: a study of parameters on every dataset, if `tune.enabled` says so; judged without a look at test rows."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

from ftl.config import Params, dataset_names
from ftl.errors import ConfigError
from pipelines.stage import WORK, run


def main(params: Params, artifacts: str) -> None:
    at = Path(artifacts)
    (at / "tune").mkdir(parents=True, exist_ok=True)
    found = _studies(params, at) if _enabled(params) else {}
    _write(at / "tune" / "studies.json", list(found))  # DVC loses an empty folder
    if not found:
        print("tune.enabled is false: no study")
    first: dict[str, Any] = next(iter(found.values()), {})
    _write(at / "tuning.json", {**first, **({"datasets": found} if len(found) > 1 else {})})


def _enabled(params: Params) -> bool:
    enabled = params["tune"]["enabled"]
    if not isinstance(enabled, bool):
        raise ConfigError(f"tune.enabled must be true or false; got {enabled!r}")
    return enabled


def _write(path: Path, content: Any) -> None:
    half = path.with_name(path.name + ".half")
    half.write_text(json.dumps(content, indent=1) + "\n")
    os.replace(half, path)


def _studies(params: Params, at: Path) -> dict[str, dict[str, Any]]:
    """What tuning.json holds of each dataset's study, its trials recorded in MLflow."""
    from ftl.data.fleet import read_fleet
    from ftl.tracking import lineage_of, record_runs, tracking_uri
    from ftl.tracking.study_records import study_records
    from ftl.tuning import finish_study, open_study, plan_study, run_study, study_storage
    from ftl.tuning.page import verdict_sentences
    from ftl.tuning.space import check_tune

    check_tune(params)
    found = {}
    for dataset in dataset_names(params):
        name = f"pipeline-{dataset}"
        plan = plan_study(params, at / "fleets" / dataset, WORK / dataset, name)
        journal = plan.folder.with_name(f"{name}.journal")
        lineage = lineage_of(params, {dataset: read_fleet(at / "fleets" / dataset)})
        with study_storage(os.environ.get("FTL_STUDIES", "").strip() or journal) as storage:
            study = open_study(plan, storage)
            study.set_user_attr("lineage", lineage.key(dataset))  # as the runs of these results are tagged
            for _ in run_study(plan, study):
                pass
            outcome = finish_study(plan, study, at / "tune" / dataset)
        if journal.exists():
            shutil.copyfile(journal, at / "tune" / f"{dataset}.journal")
        print("\n".join([f"{dataset}: {sentence}" for sentence in verdict_sentences(outcome.content)]))
        records = study_records(outcome.content, plan.base, lineage, outcome.folder)
        record_runs(records, tracking_uri(Path.cwd()), at)
        found[dataset] = outcome.content
    return found


if __name__ == "__main__":
    run(main)
