"""Recorded conversations, held again with the real service on the real broker.

Touches a broker and a process, asked over HTTP and, through another AMQP library than ours, over AMQP.
"""

from __future__ import annotations

import asyncio

import pytest

from support.program import Program
from support.replay import CONVERSATIONS as RECORDED
from support.replay import Conversation, conversations, load
from support.replay_player import Place, Player

CONVERSATIONS = conversations()


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("conversation", CONVERSATIONS, ids=lambda conversation: conversation.path.stem)
async def test_a_conversation_goes_as_it_was_recorded(
    conversation: Conversation, place: Place, program: Program, *, is_recording: bool
) -> None:
    """Every answer and event is as recorded but for what is named volatile, and nothing comes beside it."""
    differences = await asyncio.to_thread(hold, conversation, place, is_recording=is_recording)
    assert not differences, "\n".join([conversation.header.title, *differences])
    assert not [line for line in program.log if line["event"] == "bus.lost"]


@pytest.mark.long
@pytest.mark.timeout(240)
@pytest.mark.asyncio(loop_scope="module")
async def test_the_printed_list_is_answered_when_its_hundred_seconds_are_waited_for(place: Place) -> None:
    """The one example that the others leave out: timer.sleep([100000]) ran for 100 s."""
    conversation = load(RECORDED / "spec_list.jsonl")

    def wait() -> tuple[list[str], int]:
        with Player(place, conversation, {"MILLISECONDS": 100_000}) as player:
            return player.differences(patience_s=150), player.scope["RAN_FOR"]

    differences, ran_for = await asyncio.to_thread(wait)
    assert not differences, "\n".join(differences)
    assert ran_for in (100, 101)


def hold(conversation: Conversation, place: Place, *, is_recording: bool) -> list[str]:
    """Play a conversation, or record it."""
    with Player(place, conversation) as player:
        if is_recording:
            player.record()
            return []
        return player.differences()
