"""A task module that ends every process it comes into, as long as a file exists.

Imported by children only; used by the tests of the pool.
"""

import os
from pathlib import Path

from kazoo_tasks import task

_FLAG = Path(os.environ.get("POOL_TEST_DEADLY", "/nonexistent"))


@task
def nothing() -> None:
    """Return at once."""


def _die() -> None:
    if _FLAG.exists():
        os._exit(3)


_die()
# A fork server that has imported this module already hands it on to children without importing it again.
os.register_at_fork(after_in_child=_die)
