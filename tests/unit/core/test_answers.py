"""Answers: remembered for a while, and no more than fit."""

import pytest

from kazoo_tasks.core.answers import Answers, Requester
from kazoo_tasks.model.errors import MsgIdConflict, TaskRunning
from support.build import NOW


def requester(msg_id: str, digest: bytes = b"d") -> Requester:
    """A request of one owner."""
    return Requester("owner", msg_id, digest)


def test_an_answer_is_recalled_for_the_same_request_only() -> None:
    """Owner and id make it the same; another digest is a conflict."""
    answers = Answers(10, 1000, [requester("a").answered(b"1", NOW)])

    assert answers.recall(requester("a")) == b"1"
    assert answers.recall(Requester("other", "a", b"d")) is None
    with pytest.raises(MsgIdConflict):
        answers.recall(requester("a", b"e"))


def test_a_later_answer_replaces_an_earlier_one() -> None:
    """And is younger than what came between."""
    answers = Answers(10, 1000)
    for msg_id, reply, at in (("a", b"", NOW), ("b", b"2", NOW + 1), ("a", b"1", NOW + 2)):
        answers.keep(requester(msg_id).answered(reply, at))
    answers.expire(NOW + 12)

    assert (answers.recall(requester("a")), answers.recall(requester("b"))) == (b"1", None)


def test_what_is_as_old_as_the_window_is_still_remembered() -> None:
    """A second later it is not."""
    answers = Answers(10, 1000, [requester("a").answered(b"1", NOW)])

    assert answers.expire(NOW + 10) == NOW
    assert len(answers) == 1
    answers.expire(NOW + 11)
    assert len(answers) == 0


def test_the_oldest_give_way_to_what_would_not_fit() -> None:
    """Replies count in bytes."""
    reply = b"x" * 10_000
    answers = Answers(10, 2 * len(reply) + 2_000)
    for n in range(5):
        answers.keep(requester(str(n)).answered(reply, NOW))

    assert [answers.recall(requester(str(n))) is not None for n in range(5)] == [
        False,
        False,
        False,
        True,
        True,
    ]


def test_a_reply_that_is_larger_than_all_room_is_not_kept() -> None:
    """It is answered, and not remembered."""
    answers = Answers(10, 3_000)
    answers.keep(requester("a").answered(b"x" * 4_000, NOW))

    assert len(answers) == 0


def test_a_refusal_is_remembered_as_well() -> None:
    """Until something else is known of the request."""
    answers = Answers(10, 1000)
    answers.keep(requester("a").refused(TaskRunning("still", {"since": 1}), NOW))

    with pytest.raises(TaskRunning, match="still") as caught:
        answers.recall(requester("a"))
    assert caught.value.detail == {"since": 1}
    with pytest.raises(MsgIdConflict):
        answers.recall(requester("a", b"e"))
    answers.keep(requester("a").answered(b"1", NOW))
    assert answers.recall(requester("a")) == b"1"
