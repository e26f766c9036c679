#!/usr/bin/env bash
# A Docker engine that answers, and the sandbox's images in it. As root on Debian it installs and starts what is
# missing; elsewhere it says what is missing, and fails only in CI. `docker.sh image` makes the image for Python
# programs only, and only where an engine answers already: where none does, programs run in WebAssembly.
set -euo pipefail
cd "$(dirname "$0")/.."
LOG=${TMPDIR:-/tmp}/atlas-dockerd.log

say() { printf '\n== %s\n' "$*" >&2; }

give_up() {
    say "$*"
    if [ "${CI:-}" = true ]; then exit 1; fi
    say "Going on without: tests marked \`docker\` will be skipped, and say so."
    exit 0
}

trouble() { .venv/bin/python -c 'from sandbox.engine import docker_status; print(docker_status())'; }
answers() { local said; said=$(trouble) && [ -z "$said" ]; }

may_install() { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }

packages() {
    say "Installing $* from Debian's packages"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q && apt-get install -q -y --no-install-recommends "$@"
}

# A pid file that outlived its process keeps the next engine from starting, once its number is another process's.
forget_dead() {
    local name=$1 file=$2
    [ -f "$file" ] || return 0
    [ "$(cat "/proc/$(cat "$file")/comm" 2>/dev/null)" = "$name" ] || rm -f "$file"
}

start_engine() {
    forget_dead dockerd /var/run/docker.pid
    forget_dead containerd /var/run/docker/containerd/containerd.pid
    say "Starting dockerd (its log: $LOG)"
    setsid nohup dockerd >"$LOG" 2>&1 </dev/null &
    for _ in $(seq 60); do
        if answers; then return; fi
        sleep 1
    done
    tail -n 20 "$LOG" >&2
    give_up "dockerd was started and does not answer."
}

WHICH=  # every language
if [ "${1:-}" = image ]; then
    answers || exit 0
    WHICH="--language python"
elif ! answers; then
    if [ -n "${DOCKER_HOST:-}" ] || ! may_install; then give_up "$(trouble)"; fi
    command -v dockerd >/dev/null || packages docker.io
    answers || start_engine
fi

# shellcheck disable=SC2086  # an option and its value are two words
build() { .venv/bin/python -m sandbox.images.build $WHICH; }

say "The sandbox's images: built where they are missing"
if ! build; then
    if command -v mmdebstrap >/dev/null || ! may_install; then give_up "The sandbox's images cannot be built."; fi
    packages mmdebstrap
    build || give_up "The sandbox's images cannot be built."
fi
