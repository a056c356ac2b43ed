"""What a pool is to be.

Pure; made by assembly, read by pool.supervisor.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class PoolSettings:
    """What a pool is to be.

    Attributes:
        size: How many slots.
        modules: Dotted paths of the task modules; children import and call nothing else.
        stop_grace_s: From SIGTERM to SIGKILL when a run is stopped.
        close_grace_s: From SIGTERM to SIGKILL when the pool is closed.
        start_timeout_s: How long a child may take to be ready.
        max_result_bytes: Longest JSON text of a result.
        max_runs: After how many a child is replaced.
        max_child_bytes: Above how much resident memory after a run it is replaced.
        max_restarts: How many deaths of a slot's children within the period are made good at once.
    """

    size: int
    modules: tuple[str, ...]
    stop_grace_s: float = 5.0
    close_grace_s: float = 1.0
    start_timeout_s: float = 30.0
    max_result_bytes: int = 64 * 1024
    max_runs: int | None = None
    max_child_bytes: int | None = None
    max_restarts: int = 20
    restart_period_s: float = 60.0
