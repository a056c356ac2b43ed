"""What a run says beside its result, from inside the child: records of its log, and a word that all is said.

Touches one socket and the process's log; used by pool.child. The other end is pool.capture.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import termios
import time
import traceback
from collections.abc import Mapping
from fcntl import ioctl
from typing import Final, NamedTuple

from kazoo_tasks.pool.result import encode

#: What a message of the socket begins with: a record, or the question whether all is read that was said.
RECORD: Final = b"R"
IS_READ: Final = b"F"
#: What the answer begins with; the number of the question follows in both.
READ: Final = b"G"
NUMBER_BYTES: Final = 8
MAX_ANSWER_BYTES: Final = 1 + NUMBER_BYTES
#: Longer texts lose their end, and larger fields all but their size; a whole record goes into one message.
MAX_TEXT: Final = 16 * 1024
MAX_FIELDS_BYTES: Final = 16 * 1024
MAX_RECORD_BYTES: Final = 160 * 1024
_NOTHING: Final = bytes(4)
_COUNT: Final = bytearray(4)
_MAX_WORD: Final = 200
_ELLIPSIS: Final = "…"
#: What each record of `logging` has of its own; whatever else is there came from its caller.
_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class Record(NamedTuple):
    """One record of a log.

    Attributes:
        logger: The name of the `logging.Logger`, if it came from one.
        fields: What belongs to the text.
    """

    level: str
    text: str
    logger: str
    fields: Mapping[str, object]

    def encoded(self) -> bytes:
        """JSON text, with the time."""
        told: dict[str, object] = {"at": time.time(), "level": _line(self.level), "text": _short(self.text)}
        if self.logger:
            told["logger"] = _line(self.logger)
        if self.fields:
            told["fields"] = _readable(self.fields)
        return json.dumps(told, ensure_ascii=False).encode()


class Said:
    """The child's end. A record may come from any thread, and from a process that the task has forked."""

    def __init__(self, connection: socket.socket) -> None:
        """Take a connected socket that keeps messages apart."""
        self._connection = connection
        self._owner = os.getpid()
        self._has_records = False
        #: The task that runs; what is logged outside of one is only printed.
        self.task_id = ""

    def tell(self, task_id: str, record: Record) -> None:
        """Tell a record of a task."""
        self._has_records = True
        try:
            self._connection.send(RECORD + task_id.encode() + b"\n" + record.encoded())
        except OSError:
            # The function has closed the socket or put something else in its place; what it prints is still read.
            sys.stderr.write(f"{record.level} {record.text}\n")

    def finish(self) -> None:
        """Have all be read that the run has said; nothing is asked if there is nothing."""
        if not (self._has_records or _is_unread(1) or _is_unread(2)):
            return
        if os.getpid() != self._owner:
            # A copy that the task made of us: it would take the answer that we wait for, and has no end to tell.
            return
        self._has_records = False
        try:
            # A number that nobody can guess: a task could have asked, and left the answers there for its end.
            number = os.urandom(NUMBER_BYTES)
            self._connection.send(IS_READ + number)
            while self._connection.recv(MAX_ANSWER_BYTES) not in (READ + number, b""):
                pass
        except OSError:
            # As above: what is unread may be taken for the next run's.
            return


class LogHandler(logging.Handler):
    """The `logging` of the task modules and of the libraries that they use."""

    def __init__(self) -> None:
        """Print, until there is somebody to be told."""
        super().__init__()
        self.said: Said | None = None

    def emit(self, record: logging.LogRecord) -> None:  # type: ignore[explicit-override]  # a child does without typing_extensions
        """Tell a record; outside of a run it is printed."""
        text = record.getMessage()
        if record.exc_info and record.exc_info[0] is not None:
            text += "\n" + "".join(traceback.format_exception(*record.exc_info)).rstrip("\n")
        if self.said is None or not self.said.task_id:
            sys.stderr.write(f"{record.levelname} {record.name}: {text}\n")
            return
        fields = {name: value for name, value in vars(record).items() if name not in _OWN}
        told = Record(record.levelname.lower(), text, record.name, fields)
        self.said.tell(self.said.task_id, told)


def take_over_logging() -> LogHandler:
    """Have everything from level INFO on told by the handler; a module's own set-up of the root finds it done."""
    handler = LogHandler()
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    return handler


def _is_unread(fd: int) -> bool:
    try:
        # Into a buffer that is there: a new one for each question takes three times as long.
        ioctl(fd, termios.FIONREAD, _COUNT)
    except OSError:
        # Closed, or something else by now, from which we read nothing.
        return False
    return _COUNT != _NOTHING


def _short(text: str) -> str:
    clean = text.encode(errors="backslashreplace").decode()
    return clean if len(clean) <= MAX_TEXT else clean[: MAX_TEXT - 1] + _ELLIPSIS


def _line(word: str) -> str:
    return " ".join(_short(word).split())[:_MAX_WORD]


def _readable(fields: Mapping[str, object]) -> object:
    try:
        return json.loads(encode(dict(fields), MAX_FIELDS_BYTES))
    except Exception as error:  # noqa: BLE001 - the boundary: what is logged may be anything
        return {"unreadable": _short(f"{type(error).__name__}: {error}")}
