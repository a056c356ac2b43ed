"""Who calls, once a token has been believed.

Pure; every source of tokens answers with it, the pipeline asks for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Identity:
    """The account that a token stands for; a superduper admin may act for every account."""

    account_id: str
    superduper_admin: bool = False

    def covers(self, account_id: str) -> bool:
        """Whether it may see and change what belongs to an account."""
        return self.superduper_admin or self.account_id == account_id


class Authenticator(Protocol):
    """Something that knows tokens."""

    def identify(self, token: str) -> Identity | None:
        """Whom a token stands for; `None` if it is unknown, expired or forged, without saying which."""
        ...
