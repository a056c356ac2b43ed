"""Where Docker answers and yet is no help, `make run` says why in one sentence, and works all the same.

Touches processes and a private RabbitMQ node; a stand-in for `docker` fails as the real one does. Run by pytest.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from container import IMAGE, BrokerContainer, ContainerFailed
from rabbitmq import SECONDS

RUN = Path(__file__).resolve().parents[2] / "deploy" / "dev" / "run.py"
RUN_LIMIT_S = 90 * SECONDS

#: What the real one said to these commands, on standard error; it goes on for those that are not named.
NO_COMPOSE = {
    "compose": "docker: unknown command: docker compose\n\nRun 'docker --help' for more information"
}
NOT_PERMITTED = {"version": "permission denied while trying to connect to the Docker daemon socket"}
NO_DAEMON = {"version": "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is it running?"}
OFFLINE = {"image": "No such image", "pull": "dial tcp: lookup registry-1.docker.io: no such host"}
RATE_LIMIT = {"image": "No such image", "pull": "toomanyrequests: You have reached your pull rate limit."}
PORT_TAKEN = {
    "run": "docker: Error response from daemon: bind: address already in use.\nSee 'docker run --help'.",
}
ENDS_AT_ONCE = {"inspect": "No such object", "logs": "starting\nBOOT FAILED"}


@pytest.fixture(name="docker")
def _docker(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `docker` that fails as the parameter says comes first on the PATH; what it was asked is in this file."""
    asked = tmp_path / "asked"
    cases = "\n".join(
        f"{verb}) cat <<'END' >&2\n{said}\nEND\nexit 1;;" for verb, said in request.param.items()
    )
    command = tmp_path / "bin" / "docker"
    command.parent.mkdir()
    command.write_text(
        f'#!/bin/sh\necho "$*" >>{asked}\ncase $1 in\n{cases}\nport) echo 127.0.0.1:1;;\nesac\n', "utf-8"
    )
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}:{os.environ['PATH']}")
    return asked


@pytest.mark.parametrize(
    ("docker", "sentence"),
    [
        (NOT_PERMITTED, f"no Docker engine answers: {NOT_PERMITTED['version']}"),
        (NO_DAEMON, f"no Docker engine answers: {NO_DAEMON['version']}"),
        (OFFLINE, f"{IMAGE} cannot be pulled: {OFFLINE['pull']}"),
        (RATE_LIMIT, f"{IMAGE} cannot be pulled: {RATE_LIMIT['pull']}"),
        (PORT_TAKEN, f"the container could not be started: {PORT_TAKEN['run'].splitlines()[0]}"),
        (ENDS_AT_ONCE, "the broker ended in its container: BOOT FAILED"),
    ],
    indirect=["docker"],
    ids=["not permitted", "no daemon", "offline", "rate limit", "port taken", "ends at once"],
)
def test_a_container_that_cannot_be_says_why(docker: Path, sentence: str) -> None:
    """In Docker's own words, on one line; what may have been made is removed."""
    with pytest.raises(ContainerFailed) as failure:
        BrokerContainer().start()

    asked = docker.read_text("utf-8")
    assert str(failure.value) == sentence
    assert asked.count("rm --force --volumes kazoo-tasks-broker-") == asked.count("run --detach")


def test_without_docker_there_is_no_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Most servers have none."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ContainerFailed, match=r"^no Docker$"):
        BrokerContainer().start()


@pytest.mark.parametrize("docker", [{**NO_COMPOSE, **OFFLINE}], indirect=True)
def test_make_run_falls_back_to_a_private_node(docker: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And asks for no compose, which Debian's Docker does not have."""
    monkeypatch.delenv("KAZOO_TASKS_AMQP_URL", raising=False)

    done = subprocess.run(
        [sys.executable, str(RUN), "true"], capture_output=True, text=True, check=False, timeout=RUN_LIMIT_S
    )

    assert done.returncode == 0
    assert done.stdout.startswith("broker: a private RabbitMQ node on port ")
    assert OFFLINE["pull"] in done.stdout.splitlines()[0]
    assert "compose" not in docker.read_text("utf-8")
