"""Call one function and put whatever comes of it into words: a result, an error or an exit.

Pure but for the call itself; used by pool.child, in the child process only.
"""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from kazoo_tasks import authoring
from kazoo_tasks.conversion import Converter
from kazoo_tasks.pool.frame import Frame, Kind
from kazoo_tasks.pool.result import NoJson, encode

MAX_REASON = 1024
MAX_TRACE_BYTES = 32 * 1024
_ELLIPSIS = "…"
#: Where frames come from that are nothing of the task.
OURS = (str(Path(__file__).parent), str(authoring.__file__))

Function = Callable[..., Any]


class Runnable(NamedTuple):
    """A function that is offered, and what makes its arguments, if it takes more than JSON values."""

    function: Function
    convert: Converter | None = None


class Guard(Protocol):
    """Who may ask a function to end while it runs, and nothing of ours before and after it."""

    def begin(self) -> None:
        """It runs from here on."""
        ...

    def end(self) -> None:
        """It does so no more."""
        ...


def call(runnable: Runnable, name: str, arguments: bytes, max_result_bytes: int, guard: Guard) -> Frame:
    """Run a function on the JSON text of its arguments, made what it declares if it declares more than JSON.

    Returns:
        A RESULT with the JSON text of what it returned (nothing for `None`), or a FAILED.
    """
    try:
        positional = json.loads(arguments.decode())
    except (ValueError, RecursionError) as error:
        return failed(
            "error", f"expected the arguments of {name} to be a JSON array, got {_described(error)}"
        )
    if runnable.convert is not None:
        try:
            positional = runnable.convert(positional)
        except BaseException as error:  # noqa: BLE001 - the boundary: a class of a task module may raise anything
            wanted = f"expected the arguments of {name} to be what it declares"
            return failed("error", f"{wanted}, got {_described(error)}")
    try:
        guard.begin()
        try:
            result = runnable.function(*positional)
        finally:
            guard.end()
    except SystemExit as leaving:
        return failed("exit", _exit_reason(leaving), _trace(leaving))
    except BaseException as error:  # noqa: BLE001 - the boundary: whatever a task raises is its own failure
        return failed("error", _described(error), _trace(error))
    return _returned(result, name, max_result_bytes)


def failed(failure: str, reason: str, trace: str = "") -> Frame:
    """Make a FAILED frame; what cannot be UTF-8 is written with backslashes."""
    said = {"failure": failure, "reason": _line(reason), "trace": _clean(trace)}
    return Frame(Kind.FAILED, json.dumps(said, ensure_ascii=False).encode())


def _returned(result: object, name: str, max_result_bytes: int) -> Frame:
    if result is None:
        return Frame(Kind.RESULT, b"")
    wanted = f"expected the result of {name} to be JSON of at most {max_result_bytes} bytes, got"
    try:
        return Frame(Kind.RESULT, encode(result, max_result_bytes))
    except NoJson as error:
        return failed("error", f"{wanted} {error}")
    except BaseException as error:  # noqa: BLE001 - a subclass of dict may raise anything while it is encoded
        return failed("error", f"{wanted} {_described(error)}")


def _exit_reason(leaving: SystemExit) -> str:
    """Say the exit code as the interpreter would choose it."""
    code = leaving.code
    if code is None:
        return "exit code 0"
    return f"exit code {int(code)}" if isinstance(code, int) else f"exit code 1: {_described(leaving)}"


def _described(error: BaseException) -> str:
    try:
        return _line(repr(error))
    except BaseException as worse:  # noqa: BLE001 - a repr that raises must not take the child with it
        return f"{type(error).__name__}, whose repr raised {type(worse).__name__}"


def _trace(error: BaseException) -> str:
    """Give the traceback without frames of this room, its end rather than its beginning if it is too long."""
    try:
        told = traceback.TracebackException(type(error), error, error.__traceback__)
        _leave_out_ours(told)
        lines = list(told.format())
    except BaseException:  # noqa: BLE001 - an exception may be built so that it cannot be formatted
        return ""
    return tail(_clean("".join(lines).rstrip("\n")))


def _leave_out_ours(told: traceback.TracebackException) -> None:
    told.stack[:] = [frame for frame in told.stack if not frame.filename.startswith(OURS)]
    for before in (told.__cause__, told.__context__):
        if before is not None:
            _leave_out_ours(before)


def _line(text: str) -> str:
    one = " ".join(_clean(text[: 2 * MAX_REASON]).split("\n"))
    return one if len(one) <= MAX_REASON else one[: MAX_REASON - 1] + _ELLIPSIS


def _clean(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


def tail(text: str) -> str:
    """As much of the end of a trace as may be kept."""
    raw = text.encode()
    if len(raw) <= MAX_TRACE_BYTES:
        return text
    return _ELLIPSIS + raw[len(_ELLIPSIS.encode()) - MAX_TRACE_BYTES :].decode(errors="ignore")
