"""The table of misbehaviours: what ends each, how that is told, and how long it may take.

Pure; read by the tests of the pool that try each once, stop some of them often, and mix them into a soak.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import Final

from kazoo_tasks.model.limits import NO_LIMITS, Limits
from kazoo_tasks.model.outcome import Failed, Failure, Outcome

MODULE: Final = "support.misbehaving_for_pool"
GRACE_S: Final = 0.5
_MIB: Final = 2**20
#: Bounds are for machines that are busy with something else; what is usual is a tenth of it.
_SOON_S: Final = 10.0
_LONG_S: Final = 30.0
_BY_SIGTERM: Final = "stopped on request, by SIGTERM"
_BY_SIGKILL: Final = rf"stopped on request, by SIGKILL after {GRACE_S:g} s grace"


class End(Enum):
    """What ends a run that misbehaves."""

    ITSELF = "by itself"
    STOP = "on request"
    LIMIT = "by a limit"


@dataclass(frozen=True, slots=True)
class Misbehaviour:
    """One way to misbehave, and what must come of it.

    Attributes:
        name: What a reader calls it.
        function: Of `MODULE`.
        failure: The class, or `None` if it succeeds all the same.
        told: A regular expression for the whole reason, or the result as JSON text.
        size: What the function takes beside its path, if it takes something.
        within_s: From the beginning, or from the request to stop, until the outcome is known.
        soak_size: The same for a run among many; 0 if it is too dear for that, or would spoil what is measured.
    """

    name: str
    function: str
    end: End
    failure: Failure | None
    told: str
    size: int | None = None
    limits: Limits = NO_LIMITS
    within_s: float = _SOON_S
    soak_size: int = 1

    @property
    def grace_s(self) -> float:
        """For one that listens more than enough, so that it is not killed because the machine is busy."""
        listens = self.end is End.STOP and self.told != _BY_SIGKILL
        return self.within_s if listens else GRACE_S

    def arguments(self, path: str, *, soak: bool = False) -> tuple[object, ...]:
        """What the function is called with."""
        if self.size is None:
            return (path,)
        return path, self.soak_size if soak else self.size

    def is_right(self, outcome: Outcome) -> bool:
        """Whether it ended as it must, when it had got so far that it misbehaved."""
        if isinstance(outcome, Failed):
            return outcome.failure is self.failure and bool(re.fullmatch(self.told, outcome.reason))
        return self.failure is None and (outcome.result or b"").decode() == self.told

    def is_right_whenever(self, outcome: Outcome) -> bool:
        """The same, for one that may have been stopped before."""
        if self.end is not End.STOP or not isinstance(outcome, Failed):
            return self.is_right(outcome)
        return outcome.failure is Failure.STOPPED and outcome.reason.startswith("stopped on request, ")


def _stopped(
    name: str, function: str, told: str, size: int | None = None, soak_size: int = 1
) -> Misbehaviour:
    return Misbehaviour(name, function, End.STOP, Failure.STOPPED, told, size=size, soak_size=soak_size)


#: Well-behaved but long: what a stop is measured with.
SLEEPER: Final = _stopped("sleep", "sleep", _BY_SIGTERM)
_NO_RESULT: Final = (
    rf"expected the result of {MODULE.rpartition('.')[2]}\.\w+ to be JSON of at most 65536 bytes, got"
)

MISBEHAVIOURS: Final = (
    _stopped("infinite loop", "loop", _BY_SIGTERM),
    _stopped("sleep with signals blocked", "block_signals", _BY_SIGKILL),
    _stopped("C code that holds the GIL", "hold_the_interpreter", _BY_SIGKILL),
    _stopped("catastrophic regular expression", "match_for_ever", _BY_SIGTERM),
    _stopped("50 grandchildren that sleep", "fork_sleepers", _BY_SIGTERM, size=50, soak_size=3),
    _stopped("BaseException on the way out", "raise_on_the_way_out", r"stopped on request, Spite\(\)"),
    _stopped("swallows Stopping for ever", "swallow_stopping", _BY_SIGKILL),
    _stopped("stops itself by SIGSTOP", "stop_itself", _BY_SIGKILL),
    Misbehaviour(
        name="4 GB of memory",
        function="take_memory",
        end=End.LIMIT,
        failure=Failure.KILLED,
        told=r"memory: [\d,]+ MiB > 128 MiB",
        size=4096,
        limits=Limits(memory_bytes=128 * _MIB),
        soak_size=0,
    ),
    Misbehaviour(
        name="fork bomb of 256",
        function="multiply",
        end=End.LIMIT,
        failure=Failure.KILLED,
        told=r"processes: \d+ > 10",
        size=8,
        limits=Limits(processes=10),
        soak_size=4,
    ),
    Misbehaviour(
        name="fills its working directory",
        function="fill_directory",
        end=End.LIMIT,
        failure=Failure.ERROR,
        told=r"OSError\(27, 'File too large'\)",
        limits=Limits(file_bytes=3 * _MIB),
    ),
    Misbehaviour(
        name="daemon of a double fork and setsid",
        function="daemonize",
        end=End.ITSELF,
        failure=None,
        told='"gone on"',
    ),
    Misbehaviour(
        name="1 GB result",
        function="return_much",
        end=End.ITSELF,
        failure=Failure.ERROR,
        told=rf"{_NO_RESULT} (at least )?\d+ bytes",
        size=10**9,
        within_s=_LONG_S,
        soak_size=10**6,
    ),
    Misbehaviour(
        name="result that is no JSON",
        function="return_an_object",
        end=End.ITSELF,
        failure=Failure.ERROR,
        told=f"{_NO_RESULT} object: return text, a number, a list or a dict",
    ),
    Misbehaviour(
        name="prints 1 GB",
        function="print_much",
        end=End.ITSELF,
        failure=None,
        told='"printed"',
        size=1024,
        within_s=4 * _LONG_S,  # what we read of it has a rate of its own
    ),
    Misbehaviour(
        name="closes all its descriptors",
        function="close_descriptors",
        end=End.ITSELF,
        failure=Failure.EXIT,
        told=r"exit code 76 \(its connection to the service was lost\)",
    ),
    Misbehaviour(
        name="writes junk to every descriptor",
        function="write_junk",
        end=End.ITSELF,
        failure=Failure.KILLED,
        told=r"signal 9 \(SIGKILL\), by the pool: expected a frame of .*, got .*",
    ),
    Misbehaviour(
        name="os._exit(0)",
        function="leave_at_once",
        end=End.ITSELF,
        failure=Failure.EXIT,
        told="exit code 0",
    ),
    Misbehaviour(
        name="segmentation fault",
        function="crash",
        end=End.ITSELF,
        failure=Failure.KILLED,
        told=r"signal 11 \(SIGSEGV\)",
    ),
    Misbehaviour(
        name="SystemExit",
        function="leave",
        end=End.ITSELF,
        failure=Failure.EXIT,
        told=r"exit code 1: SystemExit\('enough'\)",
    ),
    Misbehaviour(
        name="BaseException in a finally",
        function="raise_in_finally",
        end=End.ITSELF,
        failure=Failure.ERROR,
        told=r"Spite\(\)",
    ),
    Misbehaviour(
        name="recursion without end",
        function="recurse",
        end=End.ITSELF,
        failure=Failure.ERROR,
        told=r"RecursionError\('maximum recursion depth exceeded.*",
    ),
    Misbehaviour(
        name="threads that never end",
        function="leave_threads",
        end=End.ITSELF,
        failure=None,
        told='"threaded"',
        size=50,
        soak_size=2,
    ),
    Misbehaviour(
        name="os.kill(0, 9)",
        function="kill_group",
        end=End.ITSELF,
        failure=Failure.KILLED,
        told=r"signal 9 \(SIGKILL\)",
    ),
    Misbehaviour(
        name="kills its parent",
        function="kill_parent",
        end=End.ITSELF,
        failure=None,
        told='"orphaned"',
        # The next fork server is another process, whose memory would be taken for this one's.
        soak_size=0,
    ),
)

#: Those that go on until they are stopped.
STOPPED: Final = tuple(row for row in MISBEHAVIOURS if row.end is End.STOP)
#: Those that a soak can have many of.
CHEAP: Final = tuple(row for row in MISBEHAVIOURS if row.soak_size)
