#!/usr/bin/env bash
# Makes the virtual environment, or brings it up to date. Where nothing changed it does nothing, at once.
#
#   scripts/setup.sh [FOLDER]     FOLDER (default .venv) is taken from the top of the checkout
#   PYTHON=/path/to/python3.12    this interpreter instead of the first that fits on PATH
#
# uv installs where it is found, pip otherwise. A stamp in FOLDER holds what was installed, so that a changed
# pyproject.toml or constraints.txt is followed. A second mark stands while an installation runs: one that was killed
# may have left half a package that looks whole, and is made anew.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

venv="${1:-.venv}"
stamp="$venv/.ftl-installed"
unfinished="$venv/.ftl-installing"
candidates=(python3.13 python3.12 python3.11 python3)

say() { printf 'setup: %s\n' "$*" >&2; }
fail() { say "$@"; exit 1; }

# Does this interpreter run, and is its version one that pyproject.toml allows?
fits() { "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' >/dev/null 2>&1; }
has_pip() { "$1" -c 'import ensurepip' >/dev/null 2>&1; }

# The first interpreter that fits; without uv, rather one that can put pip into the environment.
find_python() {
    local name path found=""
    if [ -n "${PYTHON:-}" ]; then
        fits "$PYTHON" || fail "PYTHON=$PYTHON must be Python 3.11, 3.12 or 3.13"
        printf '%s' "$PYTHON"
        return
    fi
    for name in "${candidates[@]}"; do
        path="$(command -v "$name")" && fits "$path" || continue
        if [ -n "$uv" ] || has_pip "$path"; then
            printf '%s' "$path"
            return
        fi
        found="${found:-$path}"
    done
    [ -n "$found" ] || fail "Python 3.11, 3.12 or 3.13 is needed, and none of ${candidates[*]} on PATH is one" \
        "($(python3 --version 2>/dev/null || echo 'no python3 at all')). Install one, or name it: PYTHON=/path/to/python3.12"
    printf '%s' "$found"
}

# What the stamp must hold: where the environment lies (it cannot be moved) and what went into it.
wanted() { (cd "$venv" && pwd -P); cat pyproject.toml constraints.txt; }

remove_environment() {
    if [ ! -e "$venv/pyvenv.cfg" ] && [ "$(basename "$venv")" != .venv ] && [ -n "$(ls -A "$venv")" ]; then
        fail "$venv is there, but is not a virtual environment; name another folder or remove it"
    fi
    rm -rf "$venv"
}

make_environment() {
    local python
    python="$(find_python)"
    say "making $venv with $("$python" --version) ($python)"
    if [ -n "$uv" ]; then
        "$uv" venv --quiet --python "$python" "$venv"
    elif has_pip "$python"; then
        "$python" -m venv "$venv"
    elif "$python" -m pip --version >/dev/null 2>&1; then
        "$python" -m venv --without-pip "$venv"
        "$python" -m pip --python "$venv/bin/python" install --quiet pip
    else
        fail "$python can make no environment with pip in it." \
            "On Debian or Ubuntu: apt install python3-venv. Elsewhere: install uv, or a complete Python"
    fi
}

install() {
    say "installing ftl and all it needs into $venv (minutes with pip, less with uv; only the first time)"
    if [ -n "$uv" ]; then
        # uv does not read pip's variables: hand on the folder of local wheels where one is set.
        export UV_FIND_LINKS="${UV_FIND_LINKS:-${PIP_FIND_LINKS:-}}"
        [ -n "$UV_FIND_LINKS" ] || unset UV_FIND_LINKS
        "$uv" pip install --python "$venv/bin/python" --compile-bytecode -e '.[test]' -c constraints.txt
    else
        "$venv/bin/python" -m pip --version >/dev/null 2>&1 || "$venv/bin/python" -m ensurepip >/dev/null
        "$venv/bin/python" -m pip install -e '.[test]' -c constraints.txt
    fi
}

# DVC wants to know where there is no git; its local configuration is not part of the repository.
tell_dvc_about_git() {
    local folder="$PWD"
    while [ ! -e "$folder/.git" ]; do
        if [ "$folder" = / ] || [ -z "$folder" ]; then
            grep -qs no_scm .dvc/config.local && return
            "$venv/bin/dvc" config --local core.no_scm true
            say "this is not a git repository: the pipeline runs, but dvc exp and dvc metrics diff do not." \
                "To have them: git init && $venv/bin/dvc config --local --unset core.no_scm"
            return
        fi
        folder="$(dirname "$folder")"
    done
}

uv="$(command -v uv || true)"

# Two makes at once must not install into one folder: the second waits here.
exec 9<scripts/setup.sh
if command -v flock >/dev/null; then flock 9; fi

if [ ! -f "$stamp" ] || [ ! -x "$venv/bin/python" ] || ! wanted | cmp -s - "$stamp"; then
    if [ -e "$unfinished" ]; then
        say "the installation in $venv was cut off: making it anew"
        remove_environment
    elif [ -f "$stamp" ] && [ "$(head -n 1 "$stamp")" != "$(cd "$venv" && pwd -P)" ]; then
        say "$venv was made elsewhere and moved: making it anew"
        remove_environment
    elif [ -d "$venv" ] && ! fits "$venv/bin/python"; then
        say "$venv has no Python that runs: making it anew"
        remove_environment
    fi
    [ -d "$venv" ] || make_environment
    rm -f "$stamp"
    touch "$unfinished"
    install || { rm -f "$unfinished"; fail "the installation failed (see above); the same command again takes it up"; }
    wanted >"$stamp.part"
    mv "$stamp.part" "$stamp"
    rm -f "$unfinished"
    say "done: $venv"
fi
tell_dvc_about_git
