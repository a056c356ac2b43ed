"""What `make run` executes, and the nodes that the tests use, leave nothing behind.

Touches processes and private RabbitMQ nodes; run by pytest.
"""

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pika
import psutil
import pytest
from pika.exceptions import ChannelClosedByBroker

from rabbitmq import SECONDS, PrivateNode
from support.broker import SessionBroker

RUN = Path(__file__).resolve().parents[2] / "deploy" / "dev" / "run.py"
STOP_LIMIT_S = 20 * SECONDS
MARK = "KAZOO_TASKS_TEST_MARK"

#: Starts run.py with a command and further environment.
Start = Callable[..., "subprocess.Popen[str]"]


def processes_with(mark: str) -> list[psutil.Process]:
    """Every living process that inherited the mark, however far down."""
    return [p for p in psutil.process_iter() if mark_of(p) == mark]


def mark_of(process: psutil.Process) -> str | None:
    """The mark in the environment of a process; none when it is over or not ours."""
    try:
        return process.environ().get(MARK)
    except psutil.Error:
        return None


@pytest.fixture
def mark() -> Iterator[str]:
    """A word that all processes of a test carry; what is left of them at the end is killed."""
    mark = secrets.token_hex(8)
    yield mark
    for process in processes_with(mark):
        process.kill()


@pytest.fixture
def start(mark: str) -> Start:
    """Start run.py with a stand-in for the service, in a group of its own as a shell would."""

    def start(*command: str, **environment: str) -> "subprocess.Popen[str]":
        inherited = {k: v for k, v in os.environ.items() if k != "KAZOO_TASKS_AMQP_URL"}
        return subprocess.Popen(
            [sys.executable, str(RUN), *command],
            stdout=subprocess.PIPE,
            text=True,
            env=inherited | {MARK: mark} | environment,
            process_group=0,
        )

    return start


def first_lines(process: "subprocess.Popen[str]", count: int) -> list[str]:
    """The next lines of its output, waited for."""
    assert process.stdout is not None
    return [process.stdout.readline() for _ in range(count)]


STAND_IN = ("sh", "-c", "echo up; exec sleep 600")


@pytest.mark.parametrize("whole_group", [False, True], ids=["SIGTERM to run.py", "Ctrl-C to its group"])
def test_told_to_stop_it_leaves_no_process(start: Start, mark: str, *, whole_group: bool) -> None:
    """The service and the private node go with it, and a clean stop exits with zero."""
    with start(*STAND_IN) as running:
        first_lines(running, 2)
        if whole_group:
            os.killpg(running.pid, signal.SIGINT)
        else:
            running.terminate()

        assert running.wait(STOP_LIMIT_S) == 0
        assert processes_with(mark) == []


def test_killed_it_takes_service_and_node_along(start: Start, mark: str) -> None:
    """The keeper's pipe and the parent-death signal do it: no handler runs on SIGKILL."""
    with start(*STAND_IN) as running:
        first_lines(running, 2)
        rest = [p for p in processes_with(mark) if p.pid != running.pid]
        running.kill()

    assert rest != []
    assert psutil.wait_procs(rest, timeout=STOP_LIMIT_S)[1] == []


def test_it_exits_with_the_code_of_a_service_that_died(start: Start) -> None:
    """Whoever called make sees the failure."""
    with start("sh", "-c", "exit 7", KAZOO_TASKS_AMQP_URL="amqp://somewhere/") as running:
        assert running.wait(STOP_LIMIT_S) == 7
        assert "somewhere" in first_lines(running, 1)[0]


def test_a_killed_node_comes_back_on_its_port_with_its_data(private_broker: PrivateNode) -> None:
    """Fault tests rely on it."""
    private_broker.add_vhost("kept")
    before = private_broker.pid

    private_broker.kill()
    private_broker.start()

    assert private_broker.pid != before
    pika.BlockingConnection(pika.URLParameters(f"{private_broker.url}kept")).close()


def test_virtual_hosts_of_two_tests_do_not_see_each_other(broker: SessionBroker) -> None:
    """The names of the exchanges are fixed by the contract, so only the virtual host separates tests."""
    with broker.fresh_vhost() as one, broker.fresh_vhost() as other:
        with closing(pika.BlockingConnection(pika.URLParameters(one))) as connection:
            connection.channel().exchange_declare("tasks", "topic")

        with closing(pika.BlockingConnection(pika.URLParameters(other))) as connection:
            channel = connection.channel()
            with pytest.raises(ChannelClosedByBroker):
                channel.exchange_declare("tasks", passive=True)
