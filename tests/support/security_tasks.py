"""Task functions that are not nice: they say what no honest function can.

Imported by the service and its children.
"""

import base64
import sys
from types import FrameType

from kazoo_tasks import report_progress, task
from kazoo_tasks.pool.channel import Channel
from kazoo_tasks.pool.frame import Kind, tag

#: What a child's own words may be, by name: JSON to some parsers, a lie, or no text.
FORGERIES = {
    "beyond floats": (Kind.RESULT, b"1e400"),
    "beyond 64 bits": (Kind.RESULT, b"1" + b"0" * 400),
    "nested without end": (Kind.RESULT, b"[" * 5_000 + b"]" * 5_000),
    "half a pair": (Kind.RESULT, b'"\\ud800"'),
    "two of a key": (Kind.RESULT, b'{"a":1,"a":2}'),
    "reason with half a pair": (Kind.FAILED, b'{"failure":"error","reason":"\\ud800","trace":""}'),
    "trace with half a pair": (Kind.FAILED, b'{"failure":"error","reason":"r","trace":"\\udfff"}'),
    "progress beyond floats": (Kind.PROGRESS, b'{"done":1e400}'),
    "progress with half a pair": (Kind.PROGRESS, b'{"done":1,"note":"\\ud800"}'),
    "a kind that is none": (Kind.READY, b""),
}
NESTED = 260


@task
def forge(name: str) -> str:
    """Say something of `FORGERIES` in the child's place."""
    _say(*FORGERIES[name])
    return "forged"


@task
def answer(payload: str) -> str:
    """Have any bytes, given in base64, be the answer, and the child say no other."""
    channel = _say(Kind.RESULT, base64.b64decode(payload))

    def unsaid(_kind: Kind, _payload: bytes = b"") -> None:
        del channel.send  # the class's own again

    channel.send = unsaid  # type: ignore[method-assign, assignment]  # for once
    return "unsaid"


@task
def tell(payload: str) -> None:
    """Report any text, given as bytes in base64."""
    report_progress(1, note=base64.b64decode(payload).decode(errors="surrogateescape"))


@task
def fail(payload: str) -> None:
    """Fail with any text, given as bytes in base64."""
    raise ValueError(base64.b64decode(payload).decode(errors="surrogateescape"))


def _say(kind: Kind, payload: bytes) -> Channel:
    """Past all that checks what a function returns."""
    frame: FrameType | None = sys._getframe()
    while frame is not None and not isinstance(
        getattr(frame.f_locals.get("self"), "_channel", None), Channel
    ):
        frame = frame.f_back
    assert frame is not None
    channel: Channel = frame.f_locals["self"]._channel
    channel.send(kind, tag(frame.f_locals["request"].task_id, payload))
    return channel


@task
def power(base: int, exponent: int) -> int:
    """An integer of any length."""
    return int(base**exponent)


@task
def nest(depth: int) -> object:
    """Lists in lists."""
    value: object = None
    for _ in range(depth):
        value = [value]
    return value


@task
def half_a_pair() -> str:
    """Text that has no bytes."""
    return "\ud800"


@task
def fail_with_half_a_pair() -> None:
    """Words that have no bytes."""
    raise ValueError("\ud800")


@task
def echo(value: object) -> object:
    """The same."""
    return value
