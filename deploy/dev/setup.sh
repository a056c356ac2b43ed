#!/usr/bin/env bash
# Make .venv hold exactly what the lock says, and a RabbitMQ package be there when nothing else offers a broker; with
# `node` as argument that package alone, in any case. Touches .venv (VENV names another) and, only when something is
# missing, the system's packages; called by the Makefile and by broker.py.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

PYTHON=${PYTHON:-python3}
VENV=${VENV:-.venv}
LOCK=deploy/requirements-dev.txt
STAMP=$VENV/lock.sha256
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_INPUT=1 PIP_ROOT_USER_ACTION=ignore

die() { echo "setup: $*" >&2; exit 1; }

apt_install() {
    local elevate=() policy=/usr/sbin/policy-rc.d
    if [[ $(id -u) != 0 ]]; then
        command -v sudo >/dev/null || die "expected the package $1 to be installed: run 'apt-get install $1' as root"
        elevate=(sudo)
    fi
    command -v apt-get >/dev/null || die "expected the package $1 to be installed: this system has no apt-get to do it"
    echo "setup: installing $1"
    # The package would start a system-wide service; ours are private and run as the current user.
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' | "${elevate[@]}" tee "$policy" >/dev/null
        "${elevate[@]}" chmod 755 "$policy"
        # shellcheck disable=SC2064 # the path is wanted as it is now
        trap "${elevate[*]} rm -f $policy" EXIT
    fi
    "${elevate[@]}" apt-get update -qq
    "${elevate[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get install -y -qq --no-install-recommends "$1" >/dev/null </dev/null
}

make_venv() {
    command -v "$PYTHON" >/dev/null || die "expected a Python 3.11 or later, got no $PYTHON; name one with PYTHON="
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
        || die "expected $PYTHON to be 3.11 or later, got $("$PYTHON" -V); name another with PYTHON="
    "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null || apt_install python3-venv
    "$PYTHON" -m venv --clear "$VENV"
}

install_lock() {
    echo "setup: installing $LOCK into $VENV"
    # The lock is complete, so there is nothing to resolve; a resolver would stumble over newer releases of what is
    # wanted with an extra and locked without.
    "$VENV/bin/python" -m pip install --quiet --require-hashes --no-deps -r "$LOCK"
    "$VENV/bin/python" -m pip install --quiet --no-deps --no-build-isolation --editable .
}

have_node() { [[ -x /usr/lib/rabbitmq/bin/rabbitmq-server ]]; }

have_broker() {
    [[ -n ${KAZOO_TASKS_AMQP_URL:-} ]] || timeout 3 docker version >/dev/null 2>&1
}

if [[ ${1:-} == node ]]; then
    have_node || apt_install rabbitmq-server
    exit
fi
"$VENV/bin/python" -c '' 2>/dev/null || make_venv
wanted=$(cat "$LOCK" pyproject.toml | sha256sum)
if [[ $(cat "$STAMP" 2>/dev/null) != "$wanted" ]]; then
    install_lock
    echo "$wanted" >"$STAMP"
fi
have_node || have_broker || apt_install rabbitmq-server
