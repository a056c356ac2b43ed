"""The seams: what the core and the doors need from the outside, as protocols.

No implementation; assembly joins each to one of its adapters.
"""

from kazoo_tasks.ports.bus import Bus, Caller, Delivery, Incoming, Outgoing, Subscription
from kazoo_tasks.ports.clock import Clock
from kazoo_tasks.ports.health import Health
from kazoo_tasks.ports.journal import Journal, Loaded, SnapshotInfo
from kazoo_tasks.ports.pool import Assignment, Pool, PoolWatcher, SlotReport
from kazoo_tasks.ports.task_logs import LogStore

__all__ = [
    "Assignment",
    "Bus",
    "Caller",
    "Clock",
    "Delivery",
    "Health",
    "Incoming",
    "Journal",
    "Loaded",
    "LogStore",
    "Outgoing",
    "Pool",
    "PoolWatcher",
    "SlotReport",
    "SnapshotInfo",
    "Subscription",
]
