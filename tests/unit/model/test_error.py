"""The error tree: what each branch says for itself."""

from kazoo_tasks.model.errors import BadRequest, NotFound, NotRunning


def test_a_class_is_its_own_message() -> None:
    """The docstring's first line is what is said if nothing else is."""
    assert str(NotRunning()) == "The task is neither waiting nor running."


def test_a_given_message_wins() -> None:
    """Callers may know better."""
    assert str(NotFound("no task 7")) == "no task 7"


def test_a_bad_request_says_all_its_problems() -> None:
    """Nobody has to send it five times to find five mistakes."""
    error = BadRequest({"a": {"required": {"message": "missing"}}, "b": {"type": {"message": "wrong"}}})

    assert str(error) == "a: missing; b: wrong"
