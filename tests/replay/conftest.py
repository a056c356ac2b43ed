"""The replay room: its option, and the one program that all conversations are held with.

Touches a broker and a process; read by pytest.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from importlib.metadata import version
from pathlib import Path

import pytest
import pytest_asyncio

from support.broker import SessionBroker
from support.program import Program, running, settings
from support.replay_player import Place
from support.replay_value import NODE

_UPDATE = "--replay-update"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let conversations be recorded again."""
    parser.addoption(
        _UPDATE, action="store_true", help="write what the service answers into the conversations"
    )


@pytest.fixture(scope="session")
def is_recording(pytestconfig: pytest.Config) -> bool:
    """Whether what is seen is to be written instead of compared."""
    return bool(pytestconfig.getoption(_UPDATE, default=False))


@pytest.fixture(scope="module")
def vhost(broker: SessionBroker) -> Iterator[str]:
    """The URL of a virtual host for all conversations."""
    with broker.fresh_vhost() as url:
        yield url


@pytest.fixture(scope="module")
def tokens(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of tokens, with none in it yet."""
    file = tmp_path_factory.mktemp("replay") / "tokens.json"
    file.write_text('{"tokens": []}')
    return file


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def program(vhost: str, tokens: Path) -> AsyncIterator[Program]:
    """Service and gateway in one process."""
    more = {"development": "false", "tokens_file": str(tokens), "node": NODE}
    async with running("run", environment=settings(vhost, tokens.parent / "data", **more)) as program:
        yield program


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place(vhost: str, tokens: Path, program: Program) -> Place:
    """Where its doors are."""
    return Place(vhost, await program.port(), tokens, version("kazoo-tasks"))
