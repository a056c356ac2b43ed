"""Run a RabbitMQ broker in a container, with plain `docker`: no compose, no fixed port, nothing kept.

Touches Docker and loopback ports; called by broker.py, and in part by the tests' fixtures.
"""

from __future__ import annotations

import secrets
import subprocess
import sys
import time
from typing import Self

from rabbitmq import BOOT_LIMIT_S, POLL_S, SECONDS, speaks_amqp

#: As deploy/compose.yaml has it.
IMAGE = "rabbitmq:4-management"
AMQP_PORT, MANAGEMENT_PORT = 5672, 15672

ANSWER_LIMIT_S = 3 * SECONDS
COMMAND_LIMIT_S = 60 * SECONDS
#: Some 120 MB; whoever waits longer for them has a private node sooner.
PULL_LIMIT_S = 300 * SECONDS

#: Starts the container, says so with a line, and removes it when the standard input closes, which is when the owner
#: closes it or is no more. It is one process for both: an owner killed in between leaves nothing behind.
_KEEPER = """
name=$1; shift
docker run --detach --name "$name" "$@" >/dev/null && echo started && exec >&- && read -r _
docker rm --force --volumes "$name" >/dev/null 2>&1
"""


class ContainerFailed(RuntimeError):
    """There is no Docker that may be used, or the broker did not come up in it; the message fits into a sentence."""


class BrokerContainer:
    """A broker in a container that lives no longer than its owner; ports are whichever are free.

    Attributes:
        url: Where clients connect, once it has started.
        management: Where its management is, for a browser.
    """

    def __init__(self) -> None:
        self._name = f"kazoo-tasks-broker-{secrets.token_hex(4)}"
        self._keeper: subprocess.Popen[str] | None = None
        self.url = self.management = ""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Come up and answer AMQP; the image is pulled when it is not there.

        Raises:
            ContainerFailed: When that cannot be; tells what Docker said.
        """
        require_engine()
        _require_image()
        try:
            self._launch()
            port, management = self._port(AMQP_PORT), self._port(MANAGEMENT_PORT)
            self._await_handshake(port)
        except BaseException:  # also Ctrl-C: a broker half up must not outlive its start
            self.stop()
            raise
        self.url = f"amqp://guest:guest@127.0.0.1:{port}/"
        self.management = f"http://127.0.0.1:{management}/"

    def stop(self) -> None:
        """Nothing of it is left, its data neither. Does nothing to a stopped one."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.communicate()  # closes its standard input, and waits

    def _launch(self) -> None:
        published = [f"--publish=127.0.0.1::{port}" for port in (AMQP_PORT, MANAGEMENT_PORT)]
        self._keeper = subprocess.Popen(
            ["/bin/sh", "-c", _KEEPER, "keeper", self._name, *published, IMAGE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # It must not get the terminal's Ctrl-C: the broker goes last.
            start_new_session=True,
        )
        if self._keeper.stdout is None or self._keeper.stdout.readline() != "started\n":
            _, said = self._keeper.communicate()
            raise ContainerFailed(f"the container could not be started: {_last_line(said)}")

    def _port(self, inside: int) -> int:
        """The port of this machine that leads to one of the container."""
        answer = _docker(COMMAND_LIMIT_S, "port", self._name, f"{inside}/tcp")
        try:
            return int(answer.stdout.split()[0].rpartition(":")[2])
        except (IndexError, ValueError) as none:
            raise ContainerFailed(
                f"the container has no port {inside}: {_last_line(answer.stderr)}"
            ) from none

    def _await_handshake(self, port: int) -> None:
        deadline = time.monotonic() + BOOT_LIMIT_S
        while not speaks_amqp(port):
            if not self._runs():
                logged = _docker(COMMAND_LIMIT_S, "logs", "--tail=20", self._name)
                raise ContainerFailed(
                    f"the broker ended in its container: {_last_line(logged.stdout + logged.stderr)}"
                )
            if time.monotonic() > deadline:
                raise ContainerFailed(f"the broker in its container did not answer in {BOOT_LIMIT_S:.0f} s")
            time.sleep(POLL_S)

    def _runs(self) -> bool:
        state = _docker(COMMAND_LIMIT_S, "inspect", "--format={{.State.Running}}", self._name)
        return state.stdout.strip() == "true"


def require_engine() -> None:
    """There is a Docker engine that answers within three seconds, to whoever runs this.

    Raises:
        ContainerFailed: When there is none, or it will not have us.
    """
    answer = _docker(ANSWER_LIMIT_S, "version", "--format={{.Server.Version}}")
    if answer.returncode != 0:
        raise ContainerFailed(f"no Docker engine answers: {_last_line(answer.stderr)}")


def _require_image() -> None:
    if _docker(COMMAND_LIMIT_S, "image", "inspect", IMAGE).returncode == 0:
        return
    print(f"pulling {IMAGE}, once", file=sys.stderr, flush=True)
    answer = _docker(PULL_LIMIT_S, "pull", "--quiet", IMAGE)
    if answer.returncode != 0:
        raise ContainerFailed(f"{IMAGE} cannot be pulled: {_last_line(answer.stderr)}")


def _docker(limit_s: float, *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["docker", *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=limit_s,
        )
    except FileNotFoundError as missing:
        raise ContainerFailed("no Docker") from missing
    except OSError as refusal:
        raise ContainerFailed(f"no Docker: {refusal}") from refusal
    except subprocess.TimeoutExpired as silence:
        raise ContainerFailed(f"docker {arguments[0]} took more than {limit_s:.0f} s") from silence


def _last_line(said: str) -> str:
    """What Docker means: it tells the reason last, but for a hint where its help is."""
    lines = [
        line
        for line in said.splitlines()
        if line.strip() and not line.startswith(("See 'docker", "Run 'docker"))
    ]
    return lines[-1].strip() if lines else "it does not say why"
