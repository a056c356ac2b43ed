"""The little of Erlang's `erlang` module that the specification shows."""

from kazoo_tasks.authoring import task


@task(idempotent=True)
def get_cookie() -> str:
    """Answer what a node that is not distributed answers."""
    return "nocookie"
