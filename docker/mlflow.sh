#!/usr/bin/env bash
# The MLflow server: runs, registered detectors and their files in FTL_STORE (default /store).
set -euo pipefail
store="${FTL_STORE:-/store}"
mkdir -p "$store/mlartifacts"
exec mlflow server \
    --backend-store-uri "sqlite:///$store/mlflow.db" \
    --artifacts-destination "file://$store/mlartifacts" \
    --host "${FTL_HOST:-0.0.0.0}" --port "${FTL_MLFLOW_PORT:-5000}" --workers 1 \
    --allowed-hosts "${FTL_ALLOWED_HOSTS:-mlflow:5000,localhost:5000,127.0.0.1:5000}"
