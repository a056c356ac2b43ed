#!/usr/bin/env bash
# Prove what deploy/ says about Docker, and the service against the broker in a container. Expects an engine, images
# and compose, and the locked environment; called by make docker and .ci/run through with-engine.sh.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

PY=${PY:-.venv/bin/python}
# A given broker would be taken instead of the container.
unset KAZOO_TASKS_AMQP_URL
export TEST_BROKER=container

# pip's configuration of this machine does not reach into a build; where its index is has to be said.
PIP_INDEX_URL=${PIP_INDEX_URL:-$("$PY" -m pip config get global.index-url 2>/dev/null || true)}
arguments=()
if [[ -n $PIP_INDEX_URL ]]; then
    export PIP_INDEX_URL
    arguments+=(--build-arg PIP_INDEX_URL)
fi
echo "docker: building deploy/Dockerfile" >&2
# The host's network: the engine may have none of its own that leads outside.
docker build --quiet --network host "${arguments[@]}" --file deploy/Dockerfile --tag kazoo-tasks . >/dev/null
# Not what breaks and floods the service, which is no different with this broker, and takes longest.
"$PY" -m pytest -m "broker and not long" tests/contract tests/integration tests/replay tests/acceptance
"$PY" -m pytest tests/docker
