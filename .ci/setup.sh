#!/usr/bin/env bash
# Makes .venv: `setup.sh run` with what Atlas runs on, `setup.sh dev` with the tools to work on it besides.
# Every step may be repeated; the Makefile calls it only when something it reads has changed.
set -euo pipefail
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
TORCH_INDEX=${TORCH_INDEX:-https://download.pytorch.org/whl/cpu}
TORCH=2.13.0
PIP=(.venv/bin/python -m pip --disable-pip-version-check --no-input)

say() { printf '\n== %s\n' "$*" >&2; }
stop() { printf '\natlas: %s\n' "$*" >&2; exit 1; }

# As root on Debian, install packages; anywhere else, say what is missing.
need_packages() {
    local why=$1; shift
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        say "$why Installing $* from Debian's packages."
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -q && apt-get install -q -y --no-install-recommends "$@"
    else
        stop "$why On Debian or Ubuntu run: sudo apt-get install $*"
    fi
}

check_python() {
    command -v "$PYTHON" >/dev/null || stop "there is no $PYTHON here. Install Python 3.11 or newer, or run: make PYTHON=/path/to/python3 …"
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        stop "$("$PYTHON" --version) is too old: Atlas needs 3.11 or newer. Run: make PYTHON=/path/to/python3.11 …"
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null ||
        need_packages "This Python cannot make virtual environments." python3-venv
}

make_environment() {
    .venv/bin/python -c 'import pip' 2>/dev/null && return
    say "Making the virtual environment .venv with $("$PYTHON" --version)"
    rm -rf .venv
    "$PYTHON" -m venv .venv
}

# A plain `pip install torch` may bring gigabytes of CUDA, so only a CPU build is ever asked for.
install_torch() {
    .venv/bin/python -c "import importlib.metadata as m, sys; sys.exit(m.version('torch').split('+')[0] != '$TORCH')" \
        2>/dev/null && return
    if [ "$(uname -s)" = Darwin ]; then
        say "Installing torch $TORCH"
        "${PIP[@]}" install --no-deps "torch==$TORCH"
        return
    fi
    say "Installing torch $TORCH for the CPU (200 MB)"
    "${PIP[@]}" install --no-deps "torch==$TORCH+cpu" && return
    say "Your pip configuration knows no CPU build of torch; taking it from $TORCH_INDEX"
    "${PIP[@]}" install --no-deps --index-url "$TORCH_INDEX" "torch==$TORCH+cpu" ||
        stop "torch $TORCH for the CPU cannot be installed. Set TORCH_INDEX to an index that has it: make TORCH_INDEX=…"
}

# llama.cpp computes in parallel with OpenMP, whose library a bare system lacks.
check_openmp() {
    [ "$(uname -s)" = Linux ] || return 0
    .venv/bin/python -c 'import ctypes; ctypes.CDLL("libgomp.so.1"); ctypes.CDLL("libstdc++.so.6")' 2>/dev/null ||
        need_packages "llama.cpp needs the libraries libgomp and libstdc++." libgomp1 libstdc++6
}

install_locked() {
    say "Installing the packages of $1, each checked against its hash"
    "${PIP[@]}" install --require-hashes --no-deps -r "$1"
}

case ${1:-} in
run)
    check_python
    make_environment
    install_torch
    check_openmp
    install_locked requirements.lock
    say "Installing Atlas"
    "${PIP[@]}" install --quiet --no-deps --no-build-isolation -e .
    touch .venv/.installed
    ;;
dev)
    install_locked requirements-dev.lock
    touch .venv/.installed-dev
    ;;
*) stop "usage: .ci/setup.sh run|dev" ;;
esac
