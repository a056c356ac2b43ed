"""The registry: what is in it, in which order, and how a page is cut."""

import pytest

from kazoo_tasks.core.registry import MAX_PAGE_BYTES, Query, Registry
from kazoo_tasks.model.change import Change, Kind
from kazoo_tasks.model.errors import NotFound
from kazoo_tasks.model.task import FINISHED, Status
from support.build import ACCOUNT, NOW, OTHER_ACCOUNT, a_running_task, a_task


def seqs(registry: Registry, query: Query, account: str = ACCOUNT) -> list[int]:
    """The tasks of a page, by place in the order of submission."""
    return [task.seq for task in registry.page(account, query).tasks]


def test_pages_follow_each_other_without_gap_or_overlap() -> None:
    """However the size divides the list."""
    registry = Registry(a_task(seq) for seq in range(1, 11))
    seen, start = [], 0
    while True:
        page = registry.page(ACCOUNT, Query(page_size=3, start_seq=start))
        seen += [task.seq for task in page.tasks]
        if page.next_seq is None:
            break
        start = page.next_seq

    assert seen == list(range(1, 11))


def test_a_full_last_page_has_no_next() -> None:
    """Nobody is sent for an empty page."""
    registry = Registry(a_task(seq) for seq in range(1, 4))

    assert registry.page(ACCOUNT, Query(page_size=3)).next_seq is None


def test_a_page_may_begin_where_a_task_was_removed() -> None:
    """A start key outlives its task."""
    registry = Registry(a_task(seq) for seq in range(1, 6))
    registry.apply(Change(Kind.REMOVED, a_task(3)))

    assert seqs(registry, Query(page_size=2, start_seq=3)) == [4, 5]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        (Query(9, status=Status.RUNNING), [2]),
        (Query(9, status=Status.FAILURE), [3]),
        (Query(9, module="erlang"), [4]),
        (Query(9, function="sleep", status=Status.PENDING), [1]),
        (Query(9, created_from=NOW + 4), [4]),
        (Query(9, created_to=NOW), [1, 2, 3]),
        (Query(9, created_from=NOW + 1, created_to=NOW + 3), []),
    ],
)
def test_filters_are_anded_and_bounds_are_included(query: Query, expected: list[int]) -> None:
    """One task of each kind."""
    registry = Registry(
        [
            a_task(1),
            a_running_task(2),
            a_running_task(3, ended_at=NOW, error="x"),
            a_task(4, module="erlang", function="get_cookie", submitted_at=NOW + 4),
        ]
    )

    assert seqs(registry, query) == expected


def test_a_filtered_page_ends_where_the_next_match_begins() -> None:
    """Not at the next task of any kind."""
    registry = Registry(a_task(seq, module="ab"[seq % 2]) for seq in range(1, 8))

    assert registry.page(ACCOUNT, Query(page_size=2, module="a")).next_seq == 6


def test_accounts_do_not_see_each_other() -> None:
    """Neither in lists nor by id."""
    registry = Registry([a_task(1), a_task(2, account_id=OTHER_ACCOUNT)])

    assert seqs(registry, Query(9)) == [1]
    with pytest.raises(NotFound):
        registry.get(a_task(2).id, ACCOUNT)
    assert registry.get(a_task(2).id).seq == 2


def test_commits_that_overtake_each_other_leave_the_order() -> None:
    """Submission counts, not arrival."""
    registry = Registry()
    for seq in (2, 1, 3):
        registry.apply(Change(Kind.ADDED, a_task(seq)))

    assert seqs(registry, Query(9)) == [1, 2, 3]


def test_a_change_replaces_the_task_in_both_indexes() -> None:
    """What is listed is what is read."""
    registry = Registry([a_task(1), a_task(2)])
    registry.apply(Change(Kind.STARTED, a_running_task(1)))

    assert registry.get(a_task(1).id) is registry.page(ACCOUNT, Query(1)).tasks[0]
    assert len(registry) == len(list(registry)) == 2


def test_a_page_of_large_tasks_ends_early() -> None:
    """And the next one goes on from there."""
    registry = Registry(a_task(seq, arguments=b"x" * (MAX_PAGE_BYTES // 2 + 1)) for seq in range(1, 6))
    page = registry.page(ACCOUNT, Query(page_size=5))

    assert ([task.seq for task in page.tasks], page.next_seq) == ([1, 2], 3)


def test_many_removals_are_as_one_after_the_other() -> None:
    """Of several accounts, with other changes between them; what is not removed stays in its place."""
    tasks = [a_task(seq, account_id=(ACCOUNT, OTHER_ACCOUNT)[seq % 2]) for seq in range(1, 21)]
    removed = [Change(Kind.REMOVED, tasks[place]) for place in (3, 5, 4, 6, 18, 0)]
    changes = [*removed[:3], Change(Kind.STARTED, tasks[7].start(NOW)), *removed[3:]]
    one, other = Registry(tasks), Registry(tasks)
    one.apply_all(changes)
    for change in changes:
        other.apply(change)

    for account in (ACCOUNT, OTHER_ACCOUNT):
        assert one.page(account, Query(99)) == other.page(account, Query(99))
    assert (len(one), tasks[0].id in one) == (14, False)


def test_finished_tasks_are_counted() -> None:
    """Those that it begins with, those that end, and no longer those that are removed."""
    over = a_task(1).start(NOW).succeed(NOW, None)
    registry = Registry([over, a_task(2), a_task(3).start(NOW)])
    assert (registry.accounts(), registry.count(ACCOUNT, *FINISHED)) == ([ACCOUNT], 1)
    registry.apply(Change(Kind.ENDED, a_task(3).start(NOW).fail(NOW, "error")))
    registry.apply(Change(Kind.ENDED, a_task(3).start(NOW).fail(NOW, "again")))
    assert registry.count(ACCOUNT, *FINISHED) == 2
    registry.apply_all([Change(Kind.REMOVED, over), Change(Kind.REMOVED, a_task(2))])
    assert registry.count(ACCOUNT, *FINISHED) == 1
    registry.apply(Change(Kind.REMOVED, a_task(3)))
    assert (registry.accounts(), registry.count(ACCOUNT, *FINISHED)) == ([], 0)
