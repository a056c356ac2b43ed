"""The tree of errors; its branch decides what happens to the caller and to the message.

Pure; the listener, the gateway and the CLI each keep one table keyed by these branches.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Final


class KazooTasksError(Exception):
    """Something went wrong in kazoo-tasks."""

    def __init__(self, message: str | None = None) -> None:
        """Take the message, or the first line of the class's docstring."""
        super().__init__(message or (type(self).__doc__ or "").strip().partition("\n")[0])


class Corrupt(KazooTasksError):
    """The bytes are not a message: dead-letter it."""


class TooLong(Corrupt):
    """There are more bytes than anybody may send."""


class BadRequest(KazooTasksError):
    """The message is well-formed and its content is not: dead-letter it and tell the sender.

    Attributes:
        problems: `{dotted path: {rule: {"message": …, "target"?: …, "value"?: …}}}`, all of them at once.
    """

    def __init__(self, problems: dict[str, dict[str, dict[str, object]]]) -> None:
        """Keep the problems and say the first rules in one line."""
        said = (f"{path}: {rule['message']}" for path, rules in problems.items() for rule in rules.values())
        super().__init__("; ".join(said))
        self.problems = problems


class Refused(KazooTasksError):
    """A handler says no, and `reply` is the word that the caller gets for it.

    Attributes:
        detail: What goes into the reply's `Error` key, if anything.
    """

    reply: ClassVar[str]

    def __init__(self, message: str | None = None, detail: dict[str, object] | None = None) -> None:
        """Keep the detail beside the message."""
        super().__init__(message)
        self.detail = detail

    def again(self) -> Refused:
        """The same refusal, for another caller: one that is raised twice collects both their traces."""
        return type(self)(str(self), self.detail)


class NotFound(Refused):
    """No such task, as far as this account may know."""

    reply = "not_found"


class NoModule(Refused):
    """No task module of that name is offered."""

    reply = "no_module"


class NoFunction(Refused):
    """The task module offers no function of that name and arity."""

    reply = "no_function"


class BadArguments(Refused):
    """The arguments do not match the function's signature."""

    reply = "bad_arguments"


class BadStartKey(Refused):
    """The start key is none that a list gave."""

    reply = "bad_start_key"


class NoSchedule(Refused):
    """No such schedule, as far as this account may know."""

    reply = "no_schedule"


class AlreadyStarted(Refused):
    """The task was started before."""

    reply = "already_started"


class NotRunning(Refused):
    """The task is neither waiting nor running."""

    reply = "not_running"


class NotFailed(Refused):
    """The task has not failed."""

    reply = "not_failed"


class TaskRunning(Refused):
    """The task is waiting or running."""

    reply = "task_running"


class TooSoon(Refused):
    """It was done a moment ago.

    `detail` has `retry_in_s`.
    """

    reply = "too_soon"


class QuotaExceeded(Refused):
    """The account has as much as it may.

    `detail` has `quota`, `limit`, `used` and `retry_in_s`.
    """

    reply = "quota_exceeded"


class CannotReload(Refused):
    """The task modules cannot be loaded anew, and all is as it was.

    `detail` has the reason.
    """

    reply = "cannot_reload"

    def __init__(self, message: str | None = None, detail: dict[str, object] | None = None) -> None:
        """Tell the reason to whoever asked."""
        super().__init__(message, detail or {"reason": message})


class MsgIdConflict(Refused):
    """This Msg-ID was used for another request."""

    reply = "msg_id_conflict"


#: By the word that the caller gets.
REFUSALS: Final[Mapping[str, type[Refused]]] = {
    refused.reply: refused for refused in Refused.__subclasses__()
}


class Unavailable(KazooTasksError):
    """Not possible now; try again later."""


class StoreUnavailable(Unavailable):
    """The service cannot write now, and nothing was changed."""


class BusUnavailable(Unavailable):
    """The broker cannot be reached, or did not answer in time."""


class BusRefused(BusUnavailable):
    """The broker will not have us: credentials, virtual host or TLS are wrong, and waiting helps nobody."""


class RequestsStopped(KazooTasksError):
    """Requests no longer arrive, and a new connection does not help: the process must end."""


class StoreBroken(KazooTasksError):
    """The store failed in a way that leaves nothing to trust: the process must end."""


class CannotStart(KazooTasksError):
    """The settings or the surroundings do not allow a start; the message is one clear sentence."""


class DirectoryInUse(CannotStart):
    """Another instance has the data directory."""
