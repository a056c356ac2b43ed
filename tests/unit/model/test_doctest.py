"""The examples in docstrings are true."""

import doctest
import importlib

import pytest

MODULES = [
    "kazoo_tasks.model.gregorian",
    "kazoo_tasks.model.identity",
    "kazoo_tasks.model.outcome",
    "kazoo_tasks.wire.header",
    "kazoo_tasks.wire.page",
    "support.trend",
]


@pytest.mark.parametrize("module", MODULES)
def test_examples_run_as_printed(module: str) -> None:
    """Each module has at least one."""
    failed, tried = doctest.testmod(importlib.import_module(module))

    assert tried
    assert not failed
