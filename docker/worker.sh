#!/usr/bin/env bash
# The worker: the pipeline on the telemetry in FTL_DATA, in a workspace that outlives the container.
#
#   FTL_DATA       the telemetry, read only (default /data)
#   FTL_SOURCE     how to read it: node_tables (default), m100_raw, m100_aggregated, m100_d1
#   FTL_DATASET    its name in results (default fleet)
#   FTL_PROFILE    default, smoke, paper; used once, to write params.yaml, which is then yours to edit
#   FTL_WORKSPACE  where params.yaml, results and DVC's cache lie (default /workspace)
#   MLFLOW_TRACKING_URI, FTL_STUDIES  where runs and studies go (compose.yaml names both)
#
# Any words given are run instead of the pipeline, in the workspace: docker compose run --rm worker ftl data check /data
set -euo pipefail
code="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
workspace="${FTL_WORKSPACE:-/workspace}"
data="${FTL_DATA:-/data}"
cd "$workspace"

# The pipeline names its own code as dependencies: the workspace holds a copy, renewed with the image.
rm -rf ftl pipelines
cp -R "$code/ftl" "$code/pipelines" "$code/dvc.yaml" "$code/.dvcignore" .
[ -d .dvc ] || dvc init --quiet --no-scm
dvc config --local core.analytics false
dvc config --local core.check_update false

if [ ! -f params.yaml ]; then
    if [ -z "$(ls -A "$data" 2>/dev/null)" ]; then
        echo "worker: $data holds no telemetry. Mount a folder there: FTL_TELEMETRY=/path/to/telemetry docker compose up" >&2
        exit 2
    fi
    ftl params "${FTL_PROFILE:-default}" \
        -S "datasets={${FTL_DATASET:-fleet}: {source: ${FTL_SOURCE:-node_tables}, path: $data}}" --out params.yaml
fi

if [ "$#" -gt 0 ]; then exec "$@"; fi
python -m ftl.interruption
exec dvc repro
