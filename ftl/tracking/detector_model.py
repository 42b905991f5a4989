"""A detector as a model of MLflow. MLflow runs this file when it loads the model (models-from-code); no pickle.

What is read is a raw node table; what comes back is one row per row of it: time, node, score, threshold, label and the
sensors that contributed most.
"""

from typing import Any

import mlflow
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc.model import PythonModel

from ftl.detection.detector import Detector
from ftl.errors import UserError

ARTIFACT = "detector"  # as ftl.tracking.registry names it, which this file does not load


class DetectorModel(PythonModel):
    """Opens the model folder and scores tables; an input that does not fit is refused with what is wrong."""

    def load_context(self, context: Any) -> None:
        self.detector = _asked(Detector.load, context.artifacts[ARTIFACT])

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Scores of a table, as :meth:`ftl.detection.detector.Detector.score`.

        Args:
            model_input: A frame of raw rows.
            params: ``node`` (whose rows they are, unless a column ``node`` says it), ``explain_all``, ``newcomer``.
        """
        asked = params or {}
        scored = _asked(
            self.detector.score,
            model_input,
            asked.get("node") or None,
            explain_all=bool(asked.get("explain_all", False)),
            newcomer=bool(asked.get("newcomer", False)),
        )
        return _plain(scored)


def _asked(function: Any, *arguments: Any, **settings: Any) -> Any:
    try:
        return function(*arguments, **settings)
    except UserError as error:
        raise MlflowException(str(error), error_code=INVALID_PARAMETER_VALUE) from error


def _plain(scored: pd.DataFrame) -> pd.DataFrame:
    """Only what JSON knows: times as ISO text, and None where there is no score."""
    plain = scored.astype({"label": object, "score": object})
    for name in ("label", "score"):
        plain[name] = plain[name].where(scored[name].notna(), None)
    if isinstance(scored["time"].dtype, pd.DatetimeTZDtype):
        plain["time"] = scored["time"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    return plain


mlflow.models.set_model(DetectorModel())
