"""What can be said about the AMQP bus without a broker."""

from __future__ import annotations

from itertools import islice

import pytest

from kazoo_tasks.bus import AmqpBus, RequestQueue
from kazoo_tasks.bus.amqp import pauses
from kazoo_tasks.bus.refusal import reason
from kazoo_tasks.model.errors import CannotStart


@pytest.mark.parametrize("url", ["", "http://user:secret@host/", "amqp:///", "amqp://u:secret@host:port/"])
def test_a_url_that_is_none_is_refused_without_being_repeated(url: str) -> None:
    """It may hold a password."""
    with pytest.raises(CannotStart, match="amqp://user:password@host") as refused:
        AmqpBus(url, RequestQueue(), name="x")
    assert "secret" not in str(refused.value)


def test_pauses_grow_to_a_second_and_are_never_in_step() -> None:
    """The first attempt comes at once, so to say."""
    some, others = (list(islice(pauses(), 8)) for _ in range(2))
    assert some != others
    assert 0.05 <= some[0] <= 0.1
    assert 0.5 <= some[7] <= 1


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (None, "the connection broke"),
        (RuntimeError(), "the connection broke"),
        (TimeoutError(), "no answer within 5 s"),
        (ConnectionRefusedError(111, "Connect call failed ('127.0.0.1', 1)"), "connection refused"),
        (OSError(-2, "Name or service not known"), "name or service not known"),
        (OSError("strange"), "strange"),
    ],
)
def test_an_error_is_put_into_words(error: BaseException | None, expected: str) -> None:
    """For who runs the broker."""
    assert reason(error, 5) == expected
