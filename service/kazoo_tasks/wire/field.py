"""What single fields of messages and bodies may hold, where several have it in common.

Uses pydantic; the models take their types from here.
"""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

MAX_BULK: Final = 10_000
MAX_PAGE: Final = 10_000
#: The pattern of `contract.md` section 1.
AccountId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
TaskId = Annotated[str, Field(pattern=r"^[0-9a-f]{30}$")]
Text = Annotated[str, Field(min_length=1, max_length=255)]
Name = Annotated[str, Field(min_length=1, max_length=64)]
#: The higher the sooner, as in AMQP.
Priority = Annotated[int, Field(ge=0, le=9)]
GregorianSeconds = Annotated[int, Field(ge=0)]
