"""Where Docker works, `make run` has its broker in a container, and leaves none behind.

Touches Docker and processes; run by prove.sh.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from container import IMAGE
from rabbitmq import SECONDS

RUN = Path(__file__).resolve().parents[2] / "deploy" / "dev" / "run.py"
STOP_LIMIT_S = 20 * SECONDS

pytestmark = pytest.mark.docker


def containers() -> set[str]:
    """The names of all brokers that `make run` has in containers, running or not."""
    command = ["docker", "ps", "--all", "--filter", "name=kazoo-tasks-broker-", "--format", "{{.Names}}"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


@contextmanager
def running() -> Iterator["subprocess.Popen[str]"]:
    """What `make run` executes, with a stand-in for the service that is up."""
    command = [sys.executable, str(RUN), "sh", "-c", "echo up; exec sleep 600"]
    environment = {k: v for k, v in os.environ.items() if k != "KAZOO_TASKS_AMQP_URL"}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(f"broker: {IMAGE} in a container, on port ")
        assert process.stdout.readline() == "up\n"
        yield process


def test_a_stop_takes_the_container_along() -> None:
    """It is gone when the command is."""
    before = containers()
    with running() as process:
        during = containers()
        process.send_signal(signal.SIGINT)
        code = process.wait(STOP_LIMIT_S)

    assert len(during - before) == 1
    assert (code, containers()) == (0, before)


def test_a_kill_takes_the_container_along() -> None:
    """Nothing of ours runs any more then, but the keeper."""
    before = containers()
    with running() as process:
        during = containers()
        process.kill()
    deadline = time.monotonic() + STOP_LIMIT_S
    while containers() - before:
        assert time.monotonic() < deadline

    assert len(during - before) == 1
