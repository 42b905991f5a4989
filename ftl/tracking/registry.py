"""Detectors in MLflow's model registry: one registered model per dataset and paradigm, the newest as ``champion``.

A version holds the model folder, the code that reads it (models-from-code, so no pickle), a signature and pinned
requirements: ``mlflow models serve`` and ``mlflow.pyfunc.load_model`` need nothing else.
"""

import os
import re
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import ftl
from ftl.detection.card import CARD_FILE, Card
from ftl.detection.detector import NODE_COLUMN, Detector
from ftl.detection.model_folder import detector_digest
from ftl.detection.raw_table import USUAL_TIME_COLUMNS
from ftl.errors import ConfigError, UserError, is_disk_full
from ftl.tracking.client import open_client
from ftl.tracking.database import ARTIFACT_FOLDER, artifact_root
from ftl.tracking.environment import quiet_environment, shown, sqlite_file
from ftl.tracking.store import first_line, in_short, is_of_the_file_or_server
from ftl.tracking.store import remedy as remedy_for_store

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.models import ModelSignature

CHAMPION = "champion"
EXPERIMENT = "ftl detectors"
ARTIFACT = "detector"
MODEL_FILE = Path(__file__).with_name("detector_model.py")
REQUIREMENTS = ("mlflow", "numpy", "pandas", "pyarrow", "safetensors", "scipy", "torch")
"""What the code of a version imports; ftl itself goes with it, as it is in no package index."""


class Registered(NamedTuple):
    """A version in the registry; ``is_new`` is False where an equal detector was there already."""

    name: str
    version: int
    is_new: bool


def registered_name(dataset: str, paradigm: str) -> str:
    """The name of a registered model, e.g. ``ftl-d1-unsupervised``; what names may not contain becomes ``_``."""
    return re.sub(r"[/:\s]", "_", f"ftl-{dataset}-{paradigm}")


def register_detectors(folder: Path, uri: str) -> list[Registered]:
    """Register every detector in or below a folder; one that is registered already gets no second version.

    A new version becomes the ``champion``. Its tags are the lineage of its card, the arm and the digest of its folder.

    Args:
        folder: A model folder, or what holds some, such as ``artifacts/detectors``.
        uri: The tracking store, as :func:`ftl.tracking.tracking_uri` gives it.

    Raises:
        UserError: If there is no detector, or one is damaged.
        ConfigError: If the store cannot be read or written.
    """
    folders = sorted(path.parent for path in Path(folder).rglob(CARD_FILE) if _is_own(path.parent, Path(folder)))
    if not folders:
        raise UserError(f"{folder}: no detector in it or below it ({CARD_FILE} is missing); export the detectors first")
    quiet_environment()
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    database = sqlite_file(uri)
    if database is not None:
        database.resolve().parent.mkdir(parents=True, exist_ok=True)
    with _current_store(uri), _explained(uri, "written", "The model folders are whole: the same command goes on."):
        client = open_client(uri)
        return [_register(client, uri, each) for each in folders]


def registered_sentences(registered: list[Registered]) -> list[str]:
    """What a user is told of the registry."""
    new = [one for one in registered if one.is_new]
    names = ", ".join(f"{one.name} version {one.version}" for one in new)
    known = len(registered) - len(new)
    said = [f"MLflow registry: {names}, now {CHAMPION}"] if new else []
    return said + ([f"MLflow registry: {known} of these detectors were there already"] if known else [])


def register_or_say(folder: Path, uri: str, reachable: bool = True) -> list[str]:
    """Register the detectors of finished results; where that cannot be done, results stand, and a warning says so.

    Args:
        folder: What holds the model folders; nothing is said of one that holds none.
        uri: The tracking store.
        reachable: False where the store is known not to answer, so that nobody waits for it again.
    """
    if not any(folder.rglob(CARD_FILE)):
        return []
    reason = "the store did not take the runs either"
    if reachable:
        try:
            return registered_sentences(register_detectors(folder, uri))
        except ConfigError as error:
            reason = str(error)
    later = f"`ftl mlflow register {folder} --to {shown(uri)}` does it later"
    return [f"Warning: no detector was registered: {reason}. {later}"]


def download_detector(model: str, uri: str, into: Path) -> Path:
    """Fetch the model folder behind ``models:/name@alias`` or ``models:/name/version``; returns the folder.

    Raises:
        ConfigError: If there is no such model, or the store cannot be read.
    """
    quiet_environment()
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    database = sqlite_file(uri)
    if database is not None and not database.exists():
        raise ConfigError(f"{model}: there is no registry yet: {database} does not exist; name the store with --uri")
    with _current_store(uri), _explained(uri, "read", f"Is {model!r} right? A model folder can be named instead."):
        import mlflow
        import yaml

        whole = Path(mlflow.artifacts.download_artifacts(artifact_uri=model, dst_path=str(into)))
        flavor = yaml.safe_load((whole / "MLmodel").read_text())["flavors"].get("python_function", {})
        if ARTIFACT not in flavor.get("artifacts", {}):
            raise ConfigError(f"{model}: is no detector of ftl; give one that register_detectors made")
        return whole / flavor["artifacts"][ARTIFACT]["path"]


def _is_own(found: Path, folder: Path) -> bool:
    """Is it a detector of these results: whole, and no copy that a store beside them keeps of an earlier version?"""
    return not found.name.startswith(".") and ARTIFACT_FOLDER not in found.relative_to(folder).parts


def _register(client: "MlflowClient", uri: str, folder: Path) -> Registered:
    digest, card = detector_digest(folder), Detector.load(folder).card
    name = registered_name(card.dataset, card.paradigm)
    for known in _versions(client, name):
        if known.tags.get("digest") == digest:
            return Registered(name, int(known.version), is_new=False)
    tags = _tags(card) | {"digest": digest}
    model = client.create_logged_model(_experiment(client, uri), name=name, tags=tags, model_type="ftl detector")
    with tempfile.TemporaryDirectory(prefix="ftl-model-") as scratch:
        _save(folder, card, model.model_id, Path(scratch) / "model")
        client.log_model_artifacts(model.model_id, str(Path(scratch) / "model"))
    client.finalize_logged_model(model.model_id, "READY")
    found = client.create_model_version(
        name, source=f"models:/{model.model_id}", model_id=model.model_id, tags=tags, description=_description(card)
    )
    client.set_registered_model_alias(name, CHAMPION, found.version)
    return Registered(name, int(found.version), is_new=True)


def _versions(client: "MlflowClient", name: str) -> list[Any]:
    """All versions of a registered model, which is made where it is missing; newest first."""
    if not client.search_registered_models(filter_string=f"name = '{name}'"):
        client.create_registered_model(name, tags={"ftl": "detector"})
        return []
    found: list[Any] = []
    token = None
    while True:
        page = client.search_model_versions(f"name = '{name}'", page_token=token)
        found += page
        token = page.token
        if not token:
            return sorted(found, key=lambda version: -int(version.version))


def _experiment(client: "MlflowClient", uri: str) -> str:
    found = client.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    database = sqlite_file(uri)
    return str(client.create_experiment(EXPERIMENT, None if database is None else artifact_root(database)))


def _save(folder: Path, card: Card, model_id: str, path: Path) -> None:
    """Write the folder of an MLflow model."""
    import mlflow
    from mlflow.models import Model

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*input example.*")
        mlflow.pyfunc.save_model(
            path,
            python_model=str(MODEL_FILE),
            artifacts={ARTIFACT: str(folder)},
            code_paths=[str(Path(ftl.__file__).parent)],
            signature=signature_of(card),
            pip_requirements=[f"{name}=={version(name)}" for name in REQUIREMENTS],
            mlflow_model=Model(model_id=model_id),
        )


def signature_of(card: Card) -> "ModelSignature":
    """What the model reads and gives.

    Every column is optional and of any type for MLflow, which would refuse whole numbers where a sensor mostly has
    fractions, and name missing columns of all nodes at once: what a node's table must hold the detector knows better.
    """
    from mlflow.models import ModelSignature
    from mlflow.types.schema import AnyType, Array, ColSpec, DataType, Object, ParamSchema, ParamSpec, Property, Schema

    time = dict.fromkeys(name for name in (card.rules.time_column, *USUAL_TIME_COLUMNS) if name)
    own = dict.fromkeys(column for node in card.nodes for column in node.columns if column is not None)
    sensor = Object([Property("sensor", DataType.string), Property("share", DataType.double)])
    outputs = [
        ColSpec(DataType.string if card.rules.time_unit == "seconds" else DataType.long, "time"),
        ColSpec(DataType.string, "node"),
        ColSpec(DataType.double, "score", required=False),
        ColSpec(DataType.double, "threshold"),
        ColSpec(DataType.long, "label", required=False),
        ColSpec(Array(sensor), "top_sensors"),
    ]
    return ModelSignature(
        inputs=Schema([*(ColSpec(AnyType(), name, required=False) for name in {**time, NODE_COLUMN: None, **own})]),
        outputs=Schema([*outputs]),
        params=ParamSchema(
            [
                ParamSpec("node", DataType.string, ""),
                ParamSpec("explain_all", DataType.boolean, False),
                ParamSpec("newcomer", DataType.boolean, False),
            ]
        ),
    )


def _tags(card: Card) -> dict[str, str]:
    own = {name: str(getattr(card, name)) for name in ("dataset", "origin", "protocol", "paradigm", "arm", "seed")}
    return {name: str(value) for name, value in card.lineage.items()} | own


def _description(card: Card) -> str:
    values = ", ".join(f"{arm} {value:.3f}" for arm, value in card.chosen_by.get("values", {}).items())
    return (
        f"{len(card.nodes)} models of paradigm {card.paradigm} for the nodes of {card.dataset} ({card.origin} "
        f"telemetry, {card.protocol} protocol), arm {card.arm}, seed {card.seed}; {len(card.features)} features.\n\n"
        f"Chosen by: {card.chosen_by.get('rule', 'unknown')}" + (f" ({values})" if values else "") + ".\n\n"
        f"Input: a raw node table, with the node's name in the parameter `node` or in a column `{NODE_COLUMN}`. "
        "Output: time, node, score, threshold, label (1 flagged) and the sensors that contributed most."
    )


@contextmanager
def _current_store(uri: str) -> Iterator[None]:
    """Parts of mlflow's registry ask the process for its store instead of their client; afterwards it is as before."""
    import mlflow

    before = os.environ.get("MLFLOW_TRACKING_URI")
    mlflow.set_tracking_uri(uri)
    try:
        yield
    finally:
        mlflow.set_tracking_uri(None)  # type: ignore[arg-type]  # unsets it, and the variable of the environment
        if before is not None:
            os.environ["MLFLOW_TRACKING_URI"] = before


@contextmanager
def _explained(uri: str, what: str, remedy: str) -> Iterator[None]:
    from alembic.util import CommandError
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, CommandError, OSError) as error:
        if is_disk_full(error):
            raise
        reason = first_line(error)
        if is_of_the_file_or_server(reason):
            remedy = remedy_for_store(reason, uri) + ("" if what == "read" else f" {remedy}")
        raise ConfigError(
            f"the model registry {shown(uri)} cannot be {what}: {in_short(reason, uri)}. {remedy}"
        ) from error
