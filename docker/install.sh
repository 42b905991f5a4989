#!/usr/bin/env bash
# The steps of the image: an environment with ftl and all it needs, from the checkout that this script lies in.
#
#   docker/install.sh FOLDER
#
# TORCH_BACKEND: cpu, auto, cu126, ...: which build of torch uv takes; empty: whatever pip would take.
set -euo pipefail
source="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
venv="${1:?usage: docker/install.sh FOLDER}"

python3 -m venv "$venv"
"$venv/bin/python" -m pip install --quiet uv
# uv does not read pip's variables: hand on the folder of local wheels where one is set.
if [ -n "${PIP_FIND_LINKS:-}" ]; then export UV_FIND_LINKS="$PIP_FIND_LINKS"; fi
backend=()
if [ -n "${TORCH_BACKEND:-}" ]; then backend=(--torch-backend "$TORCH_BACKEND"); fi
"$venv/bin/uv" pip install --quiet --python "$venv/bin/python" "${backend[@]}" \
    -c "$source/constraints.txt" "$source"
"$venv/bin/ftl" --help >/dev/null
