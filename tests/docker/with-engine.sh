#!/usr/bin/env bash
# Run a command with all that the Docker path needs: an engine, base images, compose. What is there is used as it is;
# what is missing is made of Debian's packages, without any image registry, and ends with the command.
# Kept for the next time under $TMPDIR/kazoo-tasks-docker. UNAVAILABLE=0 is for those who go on where none can be had.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

UNAVAILABLE=${UNAVAILABLE:-1}
store=${TMPDIR:-/tmp}/kazoo-tasks-docker
python=$(sed -n 's/^ARG PYTHON=//p' deploy/Dockerfile)
broker=$(sed -n 's/^ *image: \(rabbitmq:\S*\)$/\1/p' deploy/compose.yaml)

say() { echo "docker: $*" >&2; }
cannot() { say "!!!!!!!!!! NOT PROVED: $*"; exit "$UNAVAILABLE"; }
cannot_run() { cannot "the engine runs no containers here: $(tail -1 "$store/probe.log")"; }
answers() { timeout 5 docker version >/dev/null 2>&1; }
have() { local each; for each; do command -v "$each" >/dev/null || return; done; }
can_install() { [[ $(id -u) == 0 && -e /etc/debian_version ]]; }

apt_install() {
    say "installing $*"
    # docker.io would start an engine for the whole system; ours is private.
    local policy=/usr/sbin/policy-rc.d made=
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy" && chmod 755 "$policy" && made=$policy
    fi
    { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } \
        >"$store/apt.log" 2>&1 </dev/null || { rm -f "$made"; cannot "apt-get install $*: $(tail -1 "$store/apt.log")"; }
    [[ -z $made ]] || rm "$made"
}

# Everything in it is root's, and a name under /tmp may have been taken by somebody else.
make_store() {
    mkdir -p "${store%/*}"
    mkdir -m 0700 "$store" 2>/dev/null || true
    [[ -O $store && ! -L $store ]] || cannot "expected $store to be ours"
    # One at a time: two engines do not share their data.
    exec 9>"$store/lock"
    flock 9
}

finish() {
    [[ -n ${engine:-} ]] || return 0
    kill "$engine" 2>/dev/null || true
    wait "$engine" || true
    # An engine leaves a mount, its bridge and its firewall rules behind.
    umount "$store/exec/netns/default" 2>/dev/null || true
    [[ -z ${bridge:-} ]] || ip link delete "$bridge" 2>/dev/null || true
    [[ -z ${firewall:-} ]] || iptables-restore <"$firewall" || true
}
trap finish EXIT

make_engine() {
    can_install || cannot "no Docker engine answers, and only root on Debian can make one here"
    have dockerd docker iptables || apt_install docker.io iptables
    export DOCKER_HOST=unix://$store/docker.sock
    ip link show docker0 >/dev/null 2>&1 || bridge=docker0
    iptables-save >"$store/firewall" && firewall=$store/firewall
    # Its containers talk to each other and to this machine; nothing of theirs is forwarded. It ends with this script,
    # even if that is killed.
    setpriv --pdeathsig TERM dockerd --data-root "$store/data" --exec-root "$store/exec" --pidfile "$store/pid" \
        --host "$DOCKER_HOST" --ip-forward=false --ip-masq=false >"$store/engine.log" 2>&1 9>&- &
    engine=$!
    local limit=$((SECONDS + 60))
    until answers; do
        kill -0 "$engine" 2>/dev/null && ((SECONDS < limit)) || cannot "the engine does not run here: $(tail -1 "$store/engine.log")"
        sleep 0.2
    done
    # Inside a container without rights it answers, and can do nothing.
    tar -c -T /dev/null | docker import - kazoo-tasks-probe >/dev/null 2>"$store/probe.log" || cannot_run
    say "an engine of our own, $(docker version --format '{{.Server.Version}}'), with its files in $store"
}

# shellcheck disable=SC2016 # apt fills them in
mirror() { apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' | grep -m1 '/debian/*$'; }

# SUITE PACKAGES TARGET [HOOK...]: a Debian system in a tar file. The certificates of this machine go with it: the
# package registry may stand behind a proxy that has its own.
bootstrap() {
    local suite=$1 packages=$2 target=$3 quiet=(); shift 3
    for folder in doc man locale; do quiet+=("--dpkgopt=path-exclude=/usr/share/$folder/*"); done
    mmdebstrap --quiet --mode=root --format=tar --variant=minbase --include="ca-certificates,$packages" \
        --aptopt='APT::Install-Recommends "false"' --dpkgopt=force-unsafe-io "${quiet[@]}" "$@" \
        --customize-hook='copy-in /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs' \
        "$suite" "$target.part" "$(mirror)" >"$target.log" 2>&1
    mv "$target.part" "$target"
}

make_python() {
    local suite
    case $python in 3.11) suite=bookworm ;; 3.13) suite=trixie ;; *) return 1 ;; esac
    # The names that the official image has.
    # shellcheck disable=SC2016 # mmdebstrap's shell fills them in
    [[ -e $store/python.tar ]] || bootstrap "$suite" python3,python3-pip,python3-venv "$store/python.tar" \
        --customize-hook='rm -f "$1"/usr/lib/python3*/EXTERNALLY-MANAGED' \
        --customize-hook='ln -s /usr/bin/python3 "$1/usr/local/bin/python"' \
        --customize-hook='ln -s /usr/bin/pip3 "$1/usr/local/bin/pip"'
    docker import --change 'ENV PIP_CERT=/etc/ssl/certs/ca-certificates.crt' --change 'CMD ["python3"]' \
        "$store/python.tar" "python:$python-slim" >/dev/null
}

make_broker() {
    # 4.0: what the name says, 4.
    [[ -e $store/rabbitmq.tar ]] || bootstrap trixie rabbitmq-server "$store/rabbitmq.tar" \
        --customize-hook='copy-in tests/docker/docker-entrypoint.sh /usr/local/bin'
    docker import --change 'ENV PATH=/usr/lib/rabbitmq/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' \
        --change 'ENTRYPOINT ["docker-entrypoint.sh"]' --change 'CMD ["rabbitmq-server"]' --change 'EXPOSE 5672 15672' \
        --change 'VOLUME /var/lib/rabbitmq' "$store/rabbitmq.tar" "$broker" >/dev/null
}

have_image() { docker image inspect "$1" >/dev/null 2>&1 || docker pull --quiet "$1" >/dev/null 2>&1; }

make_images() {
    local making=() each
    have_image "python:$python-slim" || making+=(make_python)
    have_image "$broker" || making+=(make_broker)
    ((${#making[@]})) || return 0
    can_install || cannot "no base images, and only root on Debian can make them here"
    have mmdebstrap || apt_install mmdebstrap
    say "making base images of Debian's packages: ${making[*]#make_}"
    for each in "${making[@]}"; do "$each" & pids+=($!); done
    for each in "${pids[@]}"; do wait "$each" || { say "no base image: see $store/*.tar.log"; exit 1; }; done
}

# Debian 12 has no compose that reads compose.yaml; the plugin of Debian 13 runs there too.
make_compose() {
    docker compose version >/dev/null 2>&1 && return
    can_install || cannot "no docker compose, and only root on Debian can fetch one here"
    local apt=$store/apt plugin=usr/libexec/docker/cli-plugins/docker-compose
    export DOCKER_CONFIG=$store/config
    if [[ ! -x $DOCKER_CONFIG/cli-plugins/docker-compose ]]; then
        mkdir -p "$apt"/{lists,cache/archives}/partial "$DOCKER_CONFIG/cli-plugins"
        echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(mirror) trixie main" >"$apt/trixie.list"
        local private=(-o "Dir::Etc::sourcelist=$apt/trixie.list" -o Dir::Etc::sourceparts=/dev/null
            -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o APT::Sandbox::User=root)
        (cd "$apt" && apt-get "${private[@]}" update -qq && apt-get "${private[@]}" download -qq docker-compose) \
            >"$store/apt.log" 2>&1 || cannot "no docker compose: $(tail -1 "$store/apt.log")"
        dpkg-deb --fsys-tarfile "$apt"/docker-compose_*.deb | tar -x -C "$apt" "./$plugin"
        mv "$apt/$plugin" "$DOCKER_CONFIG/cli-plugins/"
    fi
    docker compose version >/dev/null 2>&1 || cannot "the docker compose of Debian 13 does not run here"
}

have docker || can_install || cannot "no docker, and only root on Debian can install it here"
pids=()
make_store
answers || make_engine
make_images
docker run --rm --network none "python:$python-slim" true >/dev/null 2>"$store/probe.log" || cannot_run
make_compose
say "$(docker compose version), engine $(docker version --format '{{.Server.Version}}')"
"$@"
