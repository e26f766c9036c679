#!/usr/bin/env bash
# Writes requirements.lock and requirements-dev.lock from pyproject.toml, with the hashes of every file of each package.
# torch stays out: .ci/setup.sh installs a CPU build of it, whose index has other files. What it needs is in.
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
"${PYTHON:-python3}" -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet pip-tools

"${PYTHON:-python3}" - "$folder" <<'PYTHON'
import pathlib, sys, tomllib

project = tomllib.loads(pathlib.Path("pyproject.toml").read_text())
torch_needs = ["filelock", "fsspec", "jinja2", "networkx", "setuptools", "sympy", "typing-extensions"]
run = [line for line in project["project"]["dependencies"] if not line.startswith("torch")]
run += project["build-system"]["requires"] + ["editables"] + torch_needs
folder = pathlib.Path(sys.argv[1])
(folder / "run.in").write_text("\n".join(run) + "\n")
extras = project["project"]["optional-dependencies"]
(folder / "dev.in").write_text("\n".join(["-c requirements.lock", *extras["dev"], *extras["bench"]]))
PYTHON

compile() {
    "$folder/venv/bin/pip-compile" --quiet --generate-hashes --allow-unsafe --strip-extras --no-annotate --no-header \
        --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options --output-file "$1" "$2"
}
cp requirements.lock "$folder/" 2>/dev/null || true
compile "$folder/requirements.lock" "$folder/run.in"
cp requirements-dev.lock "$folder/" 2>/dev/null || true
compile "$folder/requirements-dev.lock" "$folder/dev.in"
sed '/^#/d; /^$/d' "$folder/requirements.lock" >requirements.lock
sed '/^#/d; /^$/d' "$folder/requirements-dev.lock" >requirements-dev.lock
