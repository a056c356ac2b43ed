"""Kazoo's default headers: what every message carries, and whom a `Server-ID` means.

Uses pydantic; seen by whoever reads or writes a message.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from kazoo_tasks.wire.field import Text

APP_NAME: Final = "tasks"
TASKS: Final = "tasks"
#: A routing key: at most 255 bytes, so no characters of more than one.
_ADDRESS: Final = re.compile(r"[ -~]{0,255}")
Address = Annotated[str, Field(pattern=f"^{_ADDRESS.pattern}$")]
_PID_SCHEMES: Final = ("pid://", "consumer://")


class Header(BaseModel):
    """The mandatory headers, and the optional ones that mean something here; any others are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    app_name: Text = Field(alias="App-Name")
    app_version: Text = Field(alias="App-Version")
    event_category: Text = Field(alias="Event-Category")
    event_name: Text = Field(alias="Event-Name")
    msg_id: Text = Field(alias="Msg-ID")
    server_id: Address | None = Field(None, alias="Server-ID")
    node: str | None = Field(None, alias="Node")


@dataclass(frozen=True, slots=True)
class Sender:
    """Who we are on the wire.

    Attributes:
        node: Stable `name@host`; a Kazoo cluster crashes on a name without `@`.
        version: The package's version.
    """

    node: str
    version: str
    app_name: str = APP_NAME

    def headers(self, category: str, name: str, msg_id: str) -> dict[str, Any]:
        """The default headers of one message."""
        return {
            "App-Name": self.app_name,
            "App-Version": self.version,
            "Event-Category": category,
            "Event-Name": name,
            "Msg-ID": msg_id,
            "Node": self.node,
        }


@dataclass(frozen=True, slots=True)
class ReplyTo:
    """Where a reply goes: a routing key of `targeted`, and the AMQP headers that the receiver needs."""

    routing_key: str
    headers: dict[str, str]


def is_address(text: str) -> bool:
    """Whether a text could be a `Server-ID`."""
    return _ADDRESS.fullmatch(text) is not None


def reply_to(server_id: str | None) -> ReplyTo | None:
    """Read a `Server-ID`; `None` if nobody wants a reply.

    >>> reply_to("pid://<0.1.2>/queue-7")
    ReplyTo(routing_key='queue-7', headers={'Deliver-To-PID': '<0.1.2>'})
    >>> reply_to("consumer://<0.1.2>/queue-7")
    ReplyTo(routing_key='queue-7', headers={})
    """
    if not server_id:
        return None
    if not server_id.startswith(_PID_SCHEMES):
        return ReplyTo(server_id, {})
    scheme, _, rest = server_id.partition("://")
    process, _, queue = rest.rpartition("/")
    if not queue:
        return None
    return ReplyTo(queue, {"Deliver-To-PID": process} if scheme == "pid" and process else {})
