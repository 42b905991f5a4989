#!/usr/bin/env bash
# The Optuna dashboard of the studies in FTL_STORE (default /store), or of those at FTL_STUDIES, a database URL.
set -euo pipefail
store="${FTL_STORE:-/store}"
# Its server opens a control socket in the home folder.
export HOME="${TMPDIR:-/tmp}"
studies="${FTL_STUDIES:-sqlite:///$store/studies.db}"
# The dashboard makes no database; the first study may be far away.
python -c 'import sys, optuna; optuna.storages.get_storage(sys.argv[1])' "$studies"
exec optuna-dashboard --host "${FTL_HOST:-0.0.0.0}" --port "${FTL_DASHBOARD_PORT:-8080}" "$studies"
