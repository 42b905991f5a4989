"""The edge towards MLflow: where runs are stored, what identifies them, and how they are shown.

mlflow is imported only inside functions, after ``quiet_environment()``, so importing this package costs nothing.
"""

from ftl.tracking.environment import quiet_environment, tracking_uri
from ftl.tracking.lineage import Lineage, lineage_of
from ftl.tracking.runs import log_summary
from ftl.tracking.ui import serve_ui

__all__ = ["Lineage", "lineage_of", "log_summary", "quiet_environment", "serve_ui", "tracking_uri"]
