"""What a request asks for, once it is known who asks and that they may.

Pure; made by the pipeline, read by the verbs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kazoo_tasks.gateway.identity import Identity


@dataclass(frozen=True, slots=True)
class Asked:
    """One request to one verb.

    Attributes:
        account_id: The path's; empty where the path has none.
        task_id: The path's; empty where the path has none.
        query: The last value of each parameter.
        body: The JSON value that was sent, `None` if nothing was.
        idempotency_key: As sent, `None` if it was not.
        accept: Which types the client takes, as sent.
        request_id: What the client knows it by.
        client_ip: Where it came from, as far as the gateway can see.
    """

    identity: Identity
    account_id: str
    task_id: str
    query: Mapping[str, str]
    body: Any
    idempotency_key: str | None
    accept: str = ""
    request_id: str | None = None
    client_ip: str | None = None

    def origin(self) -> dict[str, object]:
        """Who asks, as fields of a request that changes something."""
        fields = {
            "Auth-Account-ID": self.identity.account_id,
            "Client-IP": self.client_ip,
            "System-Log-ID": self.request_id,
        }
        return {name: value for name, value in fields.items() if value is not None}
