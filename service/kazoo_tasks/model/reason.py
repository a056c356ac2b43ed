"""Why a task does not run: one closed set of reasons.

Pure; given by whoever decides, told by `explain`.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """What keeps a task from running; what it says beside is named in the README."""

    NOT_STARTED = "not_started"
    START_AT = "start_at"
    BEHIND = "behind"
    POOL_FULL = "pool_full"
    ACCOUNT_LIMIT = "account_limit"
    FUNCTION_LIMIT = "function_limit"
    KEY_LIMIT = "key_limit"
    RATE_UNTIL = "rate_until"
    RETRY_AT = "retry_at"
    BREAKER_UNTIL = "breaker_until"
    PARKED = "parked"
    DRAINING = "draining"
