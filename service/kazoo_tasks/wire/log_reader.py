"""Reading a task's log page by page, to its end or for as long as the task goes on.

Touches nothing but what it asks with; used by the gateway and by the commands.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, Final

from kazoo_tasks.wire.request import MAX_LOG_WAIT_MS

#: The service answers without waiting when many wait, and is asked again after a pause.
_AT_ONCE_S: Final = 0.1
_PAUSE_S: Final = 0.25

#: Sends a `log_req` with these fields besides the task's, and gives the reply's value.
Ask = Callable[[Mapping[str, object]], Awaitable[Mapping[str, Any]]]


async def log_pages(
    ask: Ask, attempt: int | None, follow_s: float | None = None
) -> AsyncIterator[Mapping[str, Any]]:
    """The pages of an attempt's log; if none is named of the last, and followed those after it as well.

    To follow it, say how long to wait for each reply.
    """
    named, place, wait_ms = attempt, 0, 0
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        which = {} if attempt is None else {"Attempt": attempt}
        page = await ask({"Position": place, "Wait-MS": wait_ms, **which})
        yield page
        place = page["next"]
        if place < page["size"]:
            continue
        if follow_s is None or (page["is_over"] and (named or page["attempt"] >= page["attempts"])):
            return
        if page["is_over"]:
            # It was interrupted, and runs again.
            attempt, place = page["attempt"] + 1, 0
        elif page["attempt"]:
            attempt = page["attempt"]
        if wait_ms and not page["entries"] and loop.time() - began < _AT_ONCE_S:
            await asyncio.sleep(_PAUSE_S)
        # The service waits for half of that, so that its answer comes in time.
        wait_ms = min(MAX_LOG_WAIT_MS, int(follow_s * 500))
