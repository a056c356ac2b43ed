"""What systemd wants to hear: ready, stopping, still alive.

Touches the socket that systemd named in the environment, if it did; used by `program`.
"""

from __future__ import annotations

import asyncio
import socket

import structlog

from kazoo_tasks.settings import Supervisor

#: As sd_watchdog_enabled(3) advises: twice as often as needed.
_OFTEN = 2
#: A systemd that does not read must not hold up the event loop for longer.
_PATIENCE_S = 0.1
_log = structlog.get_logger(__name__)


class Notifier:
    """Tells systemd how it goes; without systemd it does nothing."""

    def __init__(self, supervisor: Supervisor) -> None:
        """Take where to tell it."""
        self._supervisor = supervisor
        self._deaf = False

    def tell(self, state: str) -> None:
        """Send a state such as `READY=1`; a systemd that does not listen is no reason to fail."""
        address = self._supervisor.notify_socket
        if not address:
            return
        # A leading @ stands for the zero byte of an abstract address.
        place = "\0" + address[1:] if address.startswith("@") else address
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as connection:
                connection.settimeout(_PATIENCE_S)
                connection.sendto(state.encode(), place)
        except OSError as error:
            if not self._deaf:
                _log.warning("systemd.deaf", state=state, reason=str(error))
            self._deaf = True
        else:
            self._deaf = False

    async def live(self) -> None:
        """Tell it again and again that the event loop turns, as often as it wants to know, until cancelled."""
        if self._supervisor.watchdog_s is None:
            return
        while True:
            self.tell("WATCHDOG=1")
            await asyncio.sleep(self._supervisor.watchdog_s / _OFTEN)
