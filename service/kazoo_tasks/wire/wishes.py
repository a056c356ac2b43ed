"""What a request may say of a task that is to be added or started.

Uses pydantic; mixed into the requests.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from kazoo_tasks.wire.attempt import RetryPolicy
from kazoo_tasks.wire.field import ConcurrencyKey, Delay, Name, Priority, StartAt


def optional(alias: str) -> Any:
    """A field that came after the first release: without it a request has the digest that it had then."""
    return Field(None, alias=alias, exclude_if=lambda value: value is None)


class Later(BaseModel):
    """When a task is to be started, if that is said."""

    start_at: StartAt | None = optional("Start-At")
    delay: Delay | None = optional("Delay")


class Wishes(Later):
    """How a task is to be run, as far as that is said."""

    priority: Priority | None = optional("Priority")
    concurrency_key: ConcurrencyKey | None = optional("Concurrency-Key")
    retry: RetryPolicy | None = optional("Retry")

    @property
    def wishes(self) -> dict[str, Any]:
        """What is said of how a task is to be run."""
        return {name: said for name in Wishes.model_fields if (said := getattr(self, name)) is not None}


class NewTask(Wishes):
    """What shall be run: a module of the catalogue, a function of it, and its arguments."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    module: Name = Field(alias="Module")
    function: Name = Field(alias="Function")
    arguments: list[Any] = Field(alias="Arguments")
