"""What single fields of messages and bodies may hold, where several have it in common.

Uses pydantic; the models take their types from here.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo
from pydantic_core import PydanticCustomError

MAX_BULK: Final = 10_000
MAX_PAGE: Final = 10_000
_MAX_TOLD: Final = 255
#: The pattern of `contract.md` section 1.
AccountId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
TaskId = Annotated[str, Field(pattern=r"^[0-9a-f]{30}$")]
Text = Annotated[str, Field(min_length=1, max_length=255)]
Name = Annotated[str, Field(min_length=1, max_length=64)]
#: The higher the sooner, as in AMQP.
Priority = Annotated[int, Field(ge=0, le=9)]
ConcurrencyKey = Annotated[str, Field(min_length=1, max_length=128)]


def _one_way(delay: int, info: ValidationInfo) -> int:
    if info.data.get("start_at") is not None:
        raise PydanticCustomError("one_of", "Expected either a time or a delay")
    return delay


#: Until the year 9999, and ten years ahead; a model has `start_at` before `delay`, and at most one of them is said.
StartAt = Annotated[int, Field(ge=0, le=315_569_519_999)]
Delay = Annotated[int, Field(ge=0, le=315_360_000), AfterValidator(_one_way)]


def _told(value: object) -> str | None:
    return value[:_MAX_TOLD] if isinstance(value, str) else None


#: What is only kept for people to read: no message is refused for it.
Told = Annotated[str | None, BeforeValidator(_told)]
GregorianSeconds = Annotated[int, Field(ge=0)]
