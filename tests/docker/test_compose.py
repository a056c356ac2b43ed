"""What deploy/compose.yaml describes runs: a task, a stop that drains, data that outlive the containers.

Touches Docker, and loopback ports that are free; run by prove.sh, which has built the image before.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final

import pytest

from rabbitmq import SECONDS

COMPOSE: Final = Path(__file__).resolve().parents[2] / "deploy" / "compose.yaml"
#: Always the same, so that a run that was killed leaves nothing that the next one does not remove.
PROJECT: Final = "kazoo-tasks-test"
PORTS: Final = ("GATEWAY_PORT", "RABBITMQ_PORT", "RABBITMQ_MANAGEMENT_PORT")
ACCOUNT: Final = "1a2b3c4d5e6f708192a3b4c5d6e7f809"
PATIENCE_S: Final = 60 * SECONDS
#: Longer than a `docker compose stop` takes to reach the service, shorter than its `drain_s`.
NAP_MS: Final = 6000

# Each of them starts the broker and waits for three health checks.
pytestmark = [pytest.mark.docker, pytest.mark.timeout(400)]


def attempt(*arguments: str) -> subprocess.CompletedProcess[str]:
    """How `docker compose` ends."""
    # Whichever ports are free; and no setting from the surroundings.
    ours = {k: v for k, v in os.environ.items() if not k.startswith(("KAZOO_TASKS_", "RABBITMQ_"))}
    return subprocess.run(
        ["docker", "compose", "--project-name", PROJECT, "--file", str(COMPOSE), *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env=ours | dict.fromkeys(PORTS, "0"),
    )


def compose(*arguments: str) -> str:
    """What `docker compose` prints; a failure tells what it complained about, and what its containers said."""
    done = attempt(*arguments)
    if done.returncode != 0:
        told = attempt("ps", "--all").stdout + attempt("logs", "--tail=30").stdout
        pytest.fail(f"docker compose {' '.join(arguments)}: {done.stderr}{told}", pytrace=False)
    return done.stdout


def up() -> None:
    """All is there and healthy; the image is the one that was built."""
    compose("up", "--detach", "--wait", "--no-build")


@dataclass(frozen=True, slots=True)
class Stranger:
    """A client of the gateway, with a token that the operator made."""

    token: str

    def ask(self, method: str, task: str = "", data: object = None) -> Any:
        """The data of an answer, which has to be a good one."""
        host, _, port = compose("port", "gateway", "8000").strip().rpartition(":")
        body = None if data is None else json.dumps({"data": data})
        with closing(HTTPConnection(host, int(port), timeout=PATIENCE_S)) as connection:
            path = f"/v2/accounts/{ACCOUNT}/tasks{'/' if task else ''}{task}"
            connection.request(method, path, body, {"X-Auth-Token": self.token})
            answer = connection.getresponse()
            said = answer.read()
        assert answer.status < 300, (answer.status, said)
        return json.loads(said)["data"]

    def add(self, function: str, *arguments: object, start: bool = True) -> str:
        """Add a task of `module.function`, and give its id."""
        module, _, name = function.partition(".")
        data = {"module": module, "function": name, "arguments": arguments, "start": start}
        task_id: str = self.ask("PUT", data=data)["id"]
        return task_id

    def task(self, task_id: str, until: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """A task, once it is so."""
        deadline = time.monotonic() + PATIENCE_S
        while not until(task := self.ask("GET", task_id)):
            assert time.monotonic() < deadline, task
        found: dict[str, Any] = task
        return found


def is_over(task: dict[str, Any]) -> bool:
    """Whether it has ended."""
    return bool(task.get("is_terminated"))


@pytest.fixture(scope="module", name="stranger")
def _stranger() -> Iterator[Stranger]:
    """RabbitMQ, service and gateway from nothing, and who may use them; nothing is left afterwards."""
    compose("down", "--volumes", "--remove-orphans")
    try:
        up()
        said = compose("run", "--rm", "-T", "token", "new", ACCOUNT)
        yield Stranger(said.strip().splitlines()[-1])
    finally:
        compose("down", "--volumes", "--remove-orphans")


def test_a_task_runs(stranger: Stranger) -> None:
    """Asked over REST, carried by RabbitMQ, done in a child of the service's container."""
    task = stranger.task(stranger.add("knm_converters.normalize", "4157125234"), is_over)

    assert (task["is_success"], task["result"]) == (True, "+14157125234")


def test_a_running_task_drains_at_stop(stranger: Stranger) -> None:
    """It ends as it would have, and the service by itself: Docker does not have to kill it."""
    task_id = stranger.add("timer.sleep", NAP_MS)
    stranger.task(task_id, lambda task: "started_at" in task)

    compose("stop", "service")
    [stopped] = map(json.loads, compose("ps", "--all", "--format", "json", "service").splitlines())
    log = compose("logs", "--no-log-prefix", "service")
    up()
    task = stranger.task(task_id, is_over)

    assert stopped["ExitCode"] == 0
    assert log.index("service.draining") < log.index("service.stopped")
    assert task["is_success"]
    assert task["ran_for"] >= NAP_MS // 1000 - 1


def test_data_outlive_their_containers(stranger: Stranger) -> None:
    """Tasks, tokens, and what the broker knows, each in its volume."""
    ended = stranger.task(stranger.add("knm_converters.normalize", "4157125234"), is_over)
    waiting = stranger.ask("GET", stranger.add("timer.sleep", 0, start=False))
    compose("exec", "-T", "rabbitmq", "rabbitmqctl", "add_vhost", "kept")

    compose("down")
    up()

    assert stranger.ask("GET", ended["id"]) == ended
    assert stranger.ask("GET", waiting["id"]) == waiting
    assert "kept" in compose("exec", "-T", "rabbitmq", "rabbitmqctl", "--quiet", "list_vhosts").split()
