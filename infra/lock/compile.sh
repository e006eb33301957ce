#!/bin/sh
# Writes the three locks from pyproject.toml in one resolution: names, versions, hashes, no index addresses.
set -eu
cd "$(dirname "$0")/../.."
compile() { uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate "$@" pyproject.toml; }
compile --all-extras -o infra/lock/bench.txt
compile --extra dev -c infra/lock/bench.txt -o infra/lock/dev.txt
compile --extra build -c infra/lock/bench.txt -o infra/lock/run.txt
