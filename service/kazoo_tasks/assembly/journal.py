"""The journal that the settings name.

Touches nothing until it is loaded; used by the service, and by the operator's commands.
"""

from kazoo_tasks.assembly.clock import SystemClock
from kazoo_tasks.ports import Journal
from kazoo_tasks.settings import Settings
from kazoo_tasks.store.retention import Keep
from kazoo_tasks.store.sqlite import SqliteJournal


def build_journal(settings: Settings) -> Journal:
    """The journal in the data directory."""
    return SqliteJournal(
        settings.data_dir, SystemClock(), Keep(settings.snapshot_keep, settings.snapshot_keep_days)
    )
