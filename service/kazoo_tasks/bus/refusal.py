"""Say in one sentence why the broker is of no use, and wait for it no longer than agreed.

Touches only aiormq's exceptions; used around everything in this room that waits for the broker.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiormq import AMQPChannelError, AMQPError, AuthenticationError, ConnectionClosed, InvalidFrameError
from aiormq.exceptions import ProbableAuthenticationError

from kazoo_tasks.model.errors import BusRefused, BusUnavailable

#: Everything that aiormq raises when it does not get what it wants; the last one is how it says "end of
#: file".
FAILURES: Final = (AMQPError, OSError, RuntimeError, TimeoutError, StopAsyncIteration)
_CLOSED: Final = "Connection.Close"
#: TLS that ended in the middle, as it does when a broker goes.
_TLS_CUT: Final = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


@asynccontextmanager
async def answered(within_s: float) -> AsyncIterator[None]:
    """Have what is awaited inside end in time and in one of three ways: done, refused, cancelled by us.

    Raises:
        BusRefused: The broker will not have us, and would not later.
        BusUnavailable: The broker did not answer or went away.
    """
    try:
        async with asyncio.timeout(within_s):
            yield
    except asyncio.CancelledError:
        # aiormq cancels its own calls when a connection breaks, and that comes out here looking like a
        # cancellation of ours; swallowing one of ours would make a stop hang instead.
        if _is_ours():
            raise
        raise BusUnavailable("the connection broke") from None
    except FAILURES as error:
        kind = BusRefused if _is_refusal(error) else BusUnavailable
        raise kind(reason(error, within_s)) from error


def _is_refusal(error: BaseException) -> bool:
    """Whether it is about who we are or how we speak, and not about a broker that is not there yet."""
    if isinstance(error, (ProbableAuthenticationError, AuthenticationError)):
        return True
    if isinstance(error, InvalidFrameError):
        return _CLOSED in str(error)
    # aiormq raises an exception of its own from the system's.
    failure = error if isinstance(error, ssl.SSLError) else error.__cause__
    return isinstance(failure, ssl.SSLError) and not isinstance(failure, _TLS_CUT)


def _is_ours() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def reason(error: BaseException | None, within_s: float = 0) -> str:
    """Put into words what aiormq's exception means to who runs the broker."""
    match error:
        case TimeoutError():
            said = f"no answer within {within_s:g} s"
        case ProbableAuthenticationError() | AuthenticationError():
            said = "it refuses the user or the password"
        case InvalidFrameError() if _CLOSED in str(error):
            # Sent instead of Connection.OpenOk, the last step of connecting; aiormq keeps no more of it.
            said = "it refuses the virtual host: there is none of that name, or not for this user"
        case AMQPChannelError() | ConnectionClosed():
            said = f"it says {error}"
        case OSError() | AMQPError():
            said = _of_system(error)
        case _:
            said = ""
    return said or "the connection broke"


def _of_system(error: OSError | AMQPError) -> str:
    # aiormq's AMQPConnectionError carries the arguments of the OSError that it was made from.
    match error.args:
        case (int(number), *_) if number > 0:
            return os.strerror(number).lower()
        case (_, str(text), *_):
            return text.lower()
    return str(error)
