"""How a run ended: a closed set of values, each told truthfully.

Pure; made by the pool, written into the task by the runner.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Failure(StrEnum):
    """Why a task failed."""

    ERROR = "error"
    EXIT = "exit"
    TIMEOUT = "timeout"
    KILLED = "killed"
    STOPPED = "stopped"
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The function returned.

    Attributes:
        result: JSON text, or `None` when it returned `None`.
    """

    result: bytes | None = None


@dataclass(frozen=True, slots=True)
class Failed:
    """The function did not return.

    Attributes:
        worker: Who ran it, in the shape of an Erlang process id: `0.<process id>.<slot>`; zeros when nobody did.
        failure: The class of the failure.
        reason: One line that says why.
        trace: The stack trace as text, if there is one.
    """

    worker: str
    failure: Failure
    reason: str
    trace: str = ""

    def text(self) -> str:
        r"""What the caller reads in the task's `error`.

        >>> Failed("0.4711.2", Failure.ERROR, "ValueError('bla')", "Traceback …").text()
        "(<0.4711.2>) error: ValueError('bla')\nTraceback …"
        """
        head = f"(<{self.worker}>) {self.failure}: {self.reason}"
        return f"{head}\n{self.trace}" if self.trace else head


Outcome = Succeeded | Failed
NOBODY: Final = "0.0.0"
#: The end of a task that was stopped before a child began it, for the first time or after an interruption.
STOPPED_WAITING: Final = Failed(NOBODY, Failure.STOPPED, "stopped on request, while it waited")
