#!/usr/bin/env bash
# A Chromium for the tests that open a page. As root on Debian it is installed (110 MB to fetch); elsewhere this says what
# is missing, and fails only in CI.
set -euo pipefail
if command -v chromium >/dev/null; then exit 0; fi
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    printf '\n== %s\n' "Installing chromium from Debian's packages" >&2
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -q && apt-get install -q -y --no-install-recommends chromium && exit 0
fi
printf '\n== %s\n' "There is no chromium: tests marked \`browser\` will be skipped, and say so." >&2
[ "${CI:-}" != true ]
