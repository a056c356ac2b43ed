"""A message that ends the service each time that it is taken: it does so three times, alone, and then never again."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Final

from support.acceptance import ACCOUNT, environment
from support.acceptance_wire import Stranger
from support.broker import SessionBroker
from support.deadly_message import WORD
from support.program import running, start

_MODULES: Final = "kazoo_tasks.modules.timer,support.deadly_message"
_INNOCENT: Final = 5


def _add(stranger: Stranger, word: str) -> None:
    fields = {"Account_ID": ACCOUNT, "Module": "deadly_message", "Function": "nothing", "Arguments": [word]}
    stranger.send("add_req", **fields)


async def test_it_becomes_a_dead_letter_and_costs_its_neighbours_nothing(
    broker: SessionBroker, tmp_path: Path
) -> None:
    """The first delivery and two more end the service; what came with it is done, each once."""
    with broker.fresh_vhost() as url:
        given = environment(url, tmp_path / "data", modules=_MODULES)
        deadly = {**given, "DEADLY_MESSAGE": "1"}
        program = await start("service", environment=deadly)
        await program.logged("service.ready")
        with Stranger(url) as stranger:
            for number in range(_INNOCENT):
                _add(stranger, f"innocent {number}")
            _add(stranger, WORD)
            deaths = [await program.ended()]
            for _ in range(2):
                program = await start("service", environment=deadly)
                deaths.append(await program.ended())
            assert deaths == [-signal.SIGKILL] * 3
            async with running("service", environment=deadly) as survivor:
                said = await survivor.logged("listener.dead_lettered")
                assert "its last three deliveries ended with the service" in str(said)
                replies = stranger.take(stranger.address, _INNOCENT)
                tasks = [reply.json["Reply"]["arguments"] for reply in replies]
                assert sorted(tasks) == [[f"innocent {number}"] for number in range(_INNOCENT)]
                listed = stranger.ask("list_req", Account_ID=ACCOUNT).json["Reply"]
                assert len(listed) == _INNOCENT
                assert stranger.depth("tasks.dead") == 1
