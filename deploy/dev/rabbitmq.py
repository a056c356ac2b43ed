"""Run a private RabbitMQ node of the distribution's package, as the current user.

Touches processes, loopback ports and one directory of its own; called by broker.py and the tests' fixtures.
"""

from __future__ import annotations

import fcntl
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

SECONDS = 1.0

#: The package's own scripts. Those on the PATH are wrappers that change user, directory and environment.
SCRIPTS = Path("/usr/lib/rabbitmq/bin")
SERVER = SCRIPTS / "rabbitmq-server"

BOOT_LIMIT_S = 60 * SECONDS
STOP_LIMIT_S = 20 * SECONDS
POLL_S = 0.05 * SECONDS

#: Below the range that the kernel hands to outgoing connections: a port that has to be there again after a
#: restart must not be taken meanwhile, least of all by a client that reconnects to it and meets itself.
PORTS = range(20_000, 32_000)

_AMQP_GREETING = b"AMQP\x00\x00\x09\x01"
_METHOD_FRAME = b"\x01"

#: Schedulers bound to cores would all sit on the first when several nodes run; none spins while idle.
_ERLANG_FLAGS = (
    "+S 1:1 +SDcpu 1:1 +SDio 1 +A 1 +stbt u +sbwt none +sbwtdcpu none +sbwtdio none"
    " -kernel inet_dist_use_interface {127,0,0,1}"
)

#: Holds the node's processes together, as leader of their group: they end when the server ends, and they are
#: killed when the standard input closes, which is when the owner closes it or is no more.
_KEEPER = """
exec 3<&0
epmd -address 127.0.0.1 -port "$ERL_EPMD_PORT" 3<&- &
epmd=$!
"$1" 3<&- &
server=$!
(read -r _; kill -KILL 0) <&3 &
guard=$!
wait "$server"
kill -KILL "$epmd" "$guard"
wait
"""


class NodeFailed(RuntimeError):
    """The node is not there, did not come up, or refused a command."""


class PrivateNode:
    """A RabbitMQ node that lives no longer than its owner, and whose directory keeps its data between starts.

    Attributes:
        directory: Where its configuration, data and logs are.
        ports: All that it has.
        port: Where it speaks AMQP, the same at every start.
    """

    def __init__(self, directory: Path, ports: list[int] | None = None) -> None:
        """Have it in `directory`; `ports` are those of one that another process of ours has started there."""
        self.directory = directory.resolve()
        self.ports = ports or _free_ports(3)
        self.port, self._dist_port, self._epmd_port = self.ports
        self._name = f"private{self.port}@localhost"
        self._keeper: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where clients connect; the name of a virtual host may be appended."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    @property
    def pid(self) -> int:
        """The Erlang machine's process.

        Raises:
            NodeFailed: When the node is not running.
        """
        pid = self._read_pid()
        if self._keeper is None or pid is None:
            msg = f"expected the node on port {self.port} to be running, got a stopped one"
            raise NodeFailed(msg)
        return pid

    def start(self) -> None:
        """Come up on the same port and data as before, and answer AMQP.

        Raises:
            NodeFailed: When it runs already, dies, or takes longer than a minute; tells the end of the log.
        """
        if self._keeper is not None:
            msg = f"expected the node on port {self.port} to be stopped, got a running one"
            raise NodeFailed(msg)
        self._prepare()
        self._keeper = self._launch()
        try:
            self._await_handshake()
        except BaseException:  # also Ctrl-C: a node half up must not outlive its start
            self.kill()
            raise

    def stop(self) -> None:
        """End it in good order; nothing of it is left. Does nothing to a stopped one."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would; nothing of it is left but its data."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze it: connections stay open and nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen one go on."""
        os.kill(self.pid, signal.SIGCONT)

    def ctl(self, *args: str) -> str:
        """What `rabbitmqctl` prints for these arguments; takes about a second.

        Raises:
            NodeFailed: When it exits with an error.
        """
        return self._command([str(SCRIPTS / "rabbitmqctl"), *args])

    def add_vhost(self, name: str) -> None:
        """A virtual host of this name exists, and guest may do anything in it."""
        vhost, all_names = f'<<"{name}">>', '<<".*">>'
        self._evaluate(
            f'ok = rabbit_vhost:add({vhost}, <<"dev">>), ok = rabbit_auth_backend_internal:set_permissions('
            f'<<"guest">>, {vhost}, {all_names}, {all_names}, {all_names}, <<"dev">>).'
        )

    def delete_vhost(self, name: str) -> None:
        """The virtual host of this name is gone, with all that was in it."""
        self._evaluate(f'ok = rabbit_vhost:delete(<<"{name}">>, <<"dev">>).')

    def _evaluate(self, expression: str) -> None:
        """Run an expression in the node: milliseconds through `erl_call`, a second where that is missing."""
        erl_call = _erl_call()
        if erl_call is None:
            self.ctl("eval", expression)
            return
        address = f"127.0.0.1:{self._dist_port}"
        # Two at once take the same name, random as it is, and the node hears only the first: 118 of 300 failed so.
        with (self.directory / "erl_call.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            answer = self._command([erl_call, "-r", "-address", address, "-e"], f"{expression}\n")
        if not answer.startswith("{ok, "):
            msg = f"expected {expression} to succeed, got {answer}"
            raise NodeFailed(msg)

    def _command(self, command: list[str], text: str = "") -> str:
        done = subprocess.run(
            command,
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=BOOT_LIMIT_S,
            env=self._environment(),
            cwd=self.directory,
        )
        if done.returncode != 0:
            said = f"{done.stdout}{done.stderr}"
            msg = f"expected {command[0]} to succeed, got exit code {done.returncode}: {said}"
            raise NodeFailed(msg)
        return done.stdout

    def _prepare(self) -> None:
        """Write what the node reads when it boots."""
        if not SERVER.exists():
            msg = f"expected {SERVER} to exist, got none: run make setup, or install rabbitmq-server"
            raise NodeFailed(msg)
        for folder in ("home", "log", "data"):
            (self.directory / folder).mkdir(parents=True, exist_ok=True)
        (self.directory / "pid").unlink(missing_ok=True)
        (self.directory / "enabled_plugins").write_text("[].\n")
        (self.directory / "rabbitmq.conf").write_text(
            f"listeners.tcp.default = 127.0.0.1:{self.port}\nlog.console = false\n"
        )
        _write_cookie(self.directory / "home" / ".erlang.cookie")

    def _environment(self) -> dict[str, str]:
        """The caller's environment, with this node's settings and none of another's."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("RABBITMQ_", "ERL_"))}
        here = self.directory
        return inherited | {
            "HOME": str(here / "home"),
            "LC_ALL": "C.UTF-8",
            "ERL_CRASH_DUMP_BYTES": "0",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_MAX_PORTS": "8192",
            "RABBITMQ_CONFIG_FILE": str(here / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": os.devnull,
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(here / "enabled_plugins"),
            "RABBITMQ_LOG_BASE": str(here / "log"),
            "RABBITMQ_MAX_NUMBER_OF_ATOMS": "1048576",
            "RABBITMQ_MAX_NUMBER_OF_PROCESSES": "65536",
            "RABBITMQ_MNESIA_BASE": str(here / "data"),
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_PID_FILE": str(here / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": _ERLANG_FLAGS,
        }

    def _launch(self) -> subprocess.Popen[bytes]:
        with (self.directory / "log" / "boot.log").open("wb") as log:
            return subprocess.Popen(
                ["/bin/sh", "-c", _KEEPER, "keeper", str(SERVER)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment(),
                cwd=self.directory,
                start_new_session=True,
            )

    def _await_handshake(self) -> None:
        deadline = time.monotonic() + BOOT_LIMIT_S
        # The pid first: whatever answers on the port before the node has one is not the node.
        while self._read_pid() is None or not speaks_amqp(self.port):
            died = self._keeper is None or self._keeper.poll() is not None
            if died or time.monotonic() > deadline:
                raise NodeFailed(self._boot_failure("a dead one" if died else "silence"))
            time.sleep(POLL_S)

    def _boot_failure(self, got: str) -> str:
        return f"expected a node on port {self.port} in {BOOT_LIMIT_S:.0f} s, got {got}:\n{self._log_tail()}"

    def _end(self, how: signal.Signals) -> None:
        """Signal the server, wait for its keeper, and kill what did not follow."""
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        pid = self._read_pid()
        if keeper.poll() is None and pid is not None:
            _send(pid, signal.SIGCONT)
            _send(pid, how)
            with suppress(subprocess.TimeoutExpired):
                keeper.wait(STOP_LIMIT_S)
        # Booting, or deaf to SIGTERM, or already dead: what is left of the group goes now.
        _send_group(keeper.pid, signal.SIGKILL)
        keeper.wait()
        if keeper.stdin is not None:
            keeper.stdin.close()

    def _read_pid(self) -> int | None:
        try:
            return int((self.directory / "pid").read_text())
        except (FileNotFoundError, ValueError):
            return None

    def _log_tail(self, lines: int = 30) -> str:
        logs = sorted((self.directory / "log").glob("*.log"))
        return "\n".join("\n".join(log.read_text(errors="replace").splitlines()[-lines:]) for log in logs)


def _free_ports(count: int) -> list[int]:
    """Different loopback ports that nobody listens on."""
    ports: list[int] = []
    with ExitStack() as held:
        while len(ports) < count:
            port = random.choice(PORTS)  # noqa: S311 -- only has to differ from a neighbour's
            listener = held.enter_context(socket.socket())
            with suppress(OSError):
                listener.bind(("127.0.0.1", port))
                ports.append(port)
    return ports


def speaks_amqp(port: int) -> bool:
    """Whether a server there answers the protocol's greeting with a method frame."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=SECONDS) as connection:
            connection.sendall(_AMQP_GREETING)
            return connection.recv(1) == _METHOD_FRAME
    except OSError:
        return False


def _write_cookie(path: Path) -> None:
    """The secret between the node and its tools; kept from start to start."""
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_hex(16))
        path.chmod(0o400)


def _erl_call() -> str | None:
    """The small C client of the Erlang distribution, which lies beside the Erlang machine."""
    erl = shutil.which("erl")
    root = Path(erl).resolve().parent.parent if erl else Path("/usr/lib/erlang")
    found = sorted(root.glob("erts-*/bin/erl_call"))
    return str(found[-1]) if found else None


def _send(pid: int, how: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, how)


def _send_group(pid: int, how: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(pid, how)


def main() -> None:
    """Run one in the given directory until the standard input closes; prints its URL."""
    with PrivateNode(Path(sys.argv[1])) as node:
        print(node.url, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
