"""Which limits hold for a run: the tightest of its function's, its account's and the service's."""

from __future__ import annotations

from kazoo_tasks import task
from kazoo_tasks.core.catalogue import Catalogue
from kazoo_tasks.core.run_limits import RunLimits
from kazoo_tasks.model.limits import NO_LIMITS, Limits
from support.build import ACCOUNT, a_module, a_task

OTHER = "f" * 32


@task(timeout_s=5, memory_bytes=1000)
def work() -> None:
    """Have limits."""


@task
def play() -> None:
    """Have none."""


def test_the_tightest_of_each_holds() -> None:
    """Each by itself; what nobody limits has no limit."""
    catalogue = Catalogue([a_module("acme.x", work=work, play=play)])
    limits = RunLimits(catalogue, Limits(timeout_s=60, processes=9), {ACCOUNT: Limits(timeout_s=1)})
    ours = a_task(1, module="x", function="work")
    theirs = a_task(2, module="x", function="work", account_id=OTHER)
    assert limits.of(ours) == Limits(timeout_s=1, memory_bytes=1000, processes=9)
    assert limits.of(theirs) == Limits(timeout_s=5, memory_bytes=1000, processes=9)
    assert limits.of(a_task(3, module="x", function="play", account_id=OTHER)) == Limits(
        timeout_s=60, processes=9
    )


def test_without_any_there_are_none() -> None:
    """Always the same, so that runs without limits share them."""
    limits = RunLimits(Catalogue([a_module("acme.x", play=play)]))
    assert limits.of(a_task(1, module="x", function="play")) == NO_LIMITS
    assert limits.of(a_task(1, module="x", function="gone")) == NO_LIMITS


def test_what_is_worked_out_anew_is_the_same_object() -> None:
    """The pool keeps something for each that it was given."""
    limits = RunLimits(Catalogue([a_module("acme.x", work=work)]), Limits(processes=9))
    before = limits.of(a_task(1, module="x", function="work"))
    limits.forget()
    assert limits.of(a_task(2, module="x", function="work")) is before
