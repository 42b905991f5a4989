#!/usr/bin/env bash
# What the image and compose.yaml do, without a container engine: the same scripts in an environment made clean, on
# free loopback ports. Ends with 0 if both servers answer and the worker's runs reach the MLflow server.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

place="$(mktemp -d "${TMPDIR:-/tmp}/ftl-image.XXXXXX")"
servers=()
end() {
    for server in "${servers[@]}"; do kill "$server" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$place"
}
trap end EXIT
trap 'exit 130' INT TERM

opt="$place/opt/ftl" store="$place/store" workspace="$place/workspace" data="$place/data"
mkdir -p "$opt" "$store" "$workspace" "$data" "$place/home"
git ls-files -z | grep -zv '^docs/' | xargs -0 cp --parents -t "$opt"

# Only what an installation needs to reach its packages is handed on.
clean=(env -i "HOME=$place/home" "TMPDIR=${TMPDIR:-/tmp}" "PATH=$place/venv/bin:/usr/local/bin:/usr/bin:/bin"
    OMP_NUM_THREADS=1 MPLBACKEND=Agg DO_NOT_TRACK=true DVC_NO_ANALYTICS=1 MLFLOW_DISABLE_TELEMETRY=true
    MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false "FTL_STORE=$store" FTL_HOST=127.0.0.1 "FTL_WORKSPACE=$workspace"
    "FTL_DATA=$data")
for name in PIP_FIND_LINKS PIP_CERT PIP_INDEX_URL PIP_CONFIG_FILE SSL_CERT_FILE UV_CACHE_DIR UV_INDEX_URL UV_DEFAULT_INDEX \
    HTTPS_PROXY https_proxy; do
    if [ -n "${!name:-}" ]; then clean+=("$name=${!name}"); fi
done
clean+=("UV_CACHE_DIR=${UV_CACHE_DIR:-$HOME/.cache/uv}")

echo "-- the image's steps"
"${clean[@]}" "$opt/docker/install.sh" "$place/venv"
python="$place/venv/bin/python"
read -r mlflow_port dashboard_port < <("$python" - <<'PORTS'
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(one.getsockname()[1] for one in held))
PORTS
)

echo "-- the servers"
"${clean[@]}" FTL_MLFLOW_PORT="$mlflow_port" FTL_ALLOWED_HOSTS="127.0.0.1:$mlflow_port" \
    "$opt/docker/mlflow.sh" >"$place/mlflow.log" 2>&1 & servers+=($!)
"${clean[@]}" FTL_DASHBOARD_PORT="$dashboard_port" "$opt/docker/dashboard.sh" >"$place/dashboard.log" 2>&1 & servers+=($!)
wait_for() {
    for _ in $(seq 120); do
        "$python" -c "from urllib.request import urlopen; urlopen('$1', timeout=4)" 2>/dev/null && return
        kill -0 "$3" 2>/dev/null || break
        sleep 1
    done
    echo "$1 does not answer:" >&2
    cat "$2" >&2
    return 1
}
wait_for "http://127.0.0.1:$mlflow_port/health" "$place/mlflow.log" "${servers[0]}"
wait_for "http://127.0.0.1:$dashboard_port/dashboard/" "$place/dashboard.log" "${servers[1]}"

echo "-- the worker"
worker=("${clean[@]}" "MLFLOW_TRACKING_URI=http://127.0.0.1:$mlflow_port" "FTL_STUDIES=sqlite:///$store/studies.db"
    "FTL_PROFILE=$place/small.yaml" "$opt/docker/worker.sh")
if "${worker[@]}" 2>"$place/empty.log" || ! grep -q 'holds no telemetry' "$place/empty.log"; then
    echo "a worker without telemetry must say so" >&2
    exit 1
fi
"$python" - "$data" "$place/small.yaml" <<'TELEMETRY'
import sys
from pathlib import Path
import numpy as np
import pandas as pd

folder, profile = map(Path, sys.argv[1:])
for node in range(4):
    draw = np.random.default_rng(node)
    load = np.sin(np.arange(400) / 15) + 0.1 * draw.normal(size=(4, 400))
    load[0, [100, 101, 102, 350, 351, 352]] += 4
    table = pd.DataFrame(load.T, columns=["power", "fan", "memory", "traffic"])
    label = np.zeros(400, int)
    label[[100, 101, 102, 350, 351, 352]] = 1
    table.assign(step=np.arange(400), label=label).to_parquet(folder / f"node{node}.parquet")
profile.write_text(
    "paradigms: [unsupervised]\nseeds: [0]\nbaselines: [pca]\nmodel: {hidden: [8, 4], latent: 4}\n"
    "select: {n_participants: [2], n_draws: 1}\nlocal: {n_epochs: 1}\nfederate: {n_rounds: 1}\n"
)
TELEMETRY
"${worker[@]}"
for file in results.parquet summary.csv report/report.html; do
    test -s "$workspace/artifacts/$file" || { echo "the worker made no $file" >&2; exit 1; }
done
"$python" - "http://127.0.0.1:$mlflow_port" <<'RUNS'
import sys
import mlflow

client = mlflow.MlflowClient(sys.argv[1])
experiments = [one.experiment_id for one in client.search_experiments()]
runs = client.search_runs(experiments, max_results=1000)
assert runs, "no run reached the server"
print(f"{len(runs)} runs on the server")
RUNS
echo "-- the image's steps work"
