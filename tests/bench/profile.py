"""`make profile`: where a request's time goes in the running service, by stage and by function.

Touches processes, a private RabbitMQ node and .run/; py-spy samples the service under the loads of P1, P2 and P3.
"""

from __future__ import annotations

import argparse
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from bench import environment
from bench.dataset import FEW, dataset
from bench.measure_amqp import reads
from bench.process import RUN, clean_environment, load
from bench.report import say
from bench.spec import Asking, Tasking, Told
from bench.stage import Stage
from rabbitmq import PrivateNode

_PY_SPY: Final = str(RUN / "bench-venv" / "bin" / "py-spy")
_HERTZ: Final = 400
_SECONDS: Final = 6
_TOP: Final = 30
#: Frames from the interpreter's start to the event loop, in every stack.
_OUTERMOST: Final = 14
_FRAME: Final = re.compile(r"(?P<function>.+) \((?P<file>[^():]+)(?::(?P<line>\d+))?\)")

Stack = tuple[str, ...]
LOADS: Final[dict[str, Callable[[str], Told]]] = {
    "P1 reads, 100 in flight": lambda url: load(
        Asking(url, reads(FEW), in_flight=100, seconds=_SECONDS + 2, warm_s=0)
    ),
    "P2 tasks one by one, 100 in flight": lambda url: load(Tasking(url, 15_000, in_flight=100)),
    "P3 tasks in bulk": lambda url: load(Tasking(url, 15_000, bulk=1_000)),
}
#: The first that is found in a stack, from the root on, is the stage that it belongs to.
_STAGES: Final = (
    ("commit: the journal's thread", ("Writer._run",)),
    (
        "commit: futures, fold, launch (loop side)",
        ("Writer._settle", "writer.py:_settle", "Ledger._fold", "Handlers._launch.<"),
    ),
    ("pool: children's answers", ("pool/link.py:",)),
    ("pool: assigning, ending", ("Runner._assign", "Runner._end", "Runner.idle")),
    ("events: written and sent", ("Announcer.",)),
    ("reply: written and sent", ("Listener._reply", "Listener._result", "AmqpDelivery.ack")),
    ("send: batches to the socket", ("Outlet.run", "Connection.__writer")),
    ("decode and validate", ("wire/codec.py:decode", "wire/request.py:parse_request", "Request.digest")),
    ("decide and commit", ("Handlers.", "Ledger.")),
    ("receive: frames and their delivery", ("aiormq/", "bus/consumer.py", "asyncio/streams.py")),
    ("listener, background and the rest of a request", ("listener/listener.py", "core/errand.py")),
)


def main() -> None:
    """Profile the loads, or those whose name begins with what is given."""
    parser = argparse.ArgumentParser(prog="profile")
    parser.add_argument("--only", default="", help="P1, P2 or P3")
    only = parser.parse_args().only
    (RUN / "bench").mkdir(parents=True, exist_ok=True)
    environment.set_up()
    shutil.rmtree(RUN / "bench" / "rabbitmq", ignore_errors=True)
    with PrivateNode(RUN / "bench" / "rabbitmq") as node:
        for name, run in LOADS.items():
            if name.startswith(only):
                _profile(Stage(node, 1), name, run)


def _profile(stage: Stage, name: str, run: Callable[[str], Told]) -> None:
    raw = RUN / "bench" / f"{name.split(maxsplit=1)[0]}.folded"
    with stage.service(dataset(FEW)) as service:
        begun = _record(service.pid, raw)
        try:
            told = run(service.url)
        finally:
            # It ends by itself, but not before its time.
            if begun.poll() is None:
                begun.send_signal(signal.SIGINT)
            begun.wait(20)
    say(f"\n{name}: {told.per_s:,.0f} a second while being sampled; stacks in {raw}")
    _tell(list(_read(raw)))


def _record(pid: int, raw: Path) -> subprocess.Popen[bytes]:
    command = [_PY_SPY, "record", "--pid", str(pid), "--format", "raw", "--output", str(raw)]
    options = ["--rate", str(_HERTZ), "--duration", str(_SECONDS), "--gil", "--threads", "--function"]
    log = (RUN / "bench" / "py-spy.log").open("wb")
    with log:
        return subprocess.Popen([*command, *options], stdout=log, stderr=log, env=clean_environment({}))


def _read(raw: Path) -> Iterable[tuple[Stack, int]]:
    """Stacks from the root on, and how many samples each has."""
    for line in raw.read_text(encoding="utf-8").splitlines():
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        yield tuple(map(_named, frames)), int(count)


def _named(frame: str) -> str:
    """A frame as `file:function`, the file from the package on."""
    found = _FRAME.fullmatch(frame)
    if found is None:
        return frame
    file = found["file"].rpartition("site-packages/")[2].rpartition("kazoo_tasks/")[2]
    return f"{file}:{found['function']}"


def _tell(samples: list[tuple[Stack, int]]) -> None:
    total = sum(count for _, count in samples)
    stages: Counter[str] = Counter()
    own: Counter[str] = Counter()
    within: Counter[str] = Counter()
    for stack, count in samples:
        stages[_stage(stack)] += count
        ours = stack[_OUTERMOST:]
        own[stack[-1]] += count
        for frame in set(ours):
            within[frame] += count
    for title, counts in (("stage", stages), ("function, self", own), ("function, total", within)):
        say(f"  by {title}")
        for name, count in counts.most_common(_TOP):
            say(f"    {100 * count / total:5.1f} %  {name}")


def _stage(stack: Stack) -> str:
    for stage, marks in _STAGES:
        if any(mark in frame for frame in stack for mark in marks):
            return stage
    return "event loop and the rest"


if __name__ == "__main__":
    main()
