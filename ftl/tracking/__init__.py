"""The edge towards MLflow: where runs are stored, what identifies them, and how they are shown.

mlflow is imported only inside functions, after ``quiet_environment()``, so importing this package costs nothing of it.
"""

from ftl.tracking.environment import quiet_environment, tracking_uri
from ftl.tracking.lineage import Lineage, lineage_of
from ftl.tracking.merge import merge_stores
from ftl.tracking.record import DatasetInput, Point, RunRecord
from ftl.tracking.recording import log_results_folder, log_studies
from ftl.tracking.spool import record_runs, sync
from ftl.tracking.store import StoreError, write_records
from ftl.tracking.ui import serve_ui

__all__ = [
    "DatasetInput",
    "Lineage",
    "Point",
    "RunRecord",
    "StoreError",
    "lineage_of",
    "log_results_folder",
    "log_studies",
    "merge_stores",
    "quiet_environment",
    "record_runs",
    "serve_ui",
    "sync",
    "tracking_uri",
    "write_records",
]
