"""Small inputs cost little: nobody else waits for them, nothing grows by them, and no more comes back than was asked.

Touches a broker and a program; each input was dear before. README.md beside this file has the figures.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.broker import SessionBroker
from support.security_house import House, Watch, a_house
from support.security_input import INPUTS

#: Several times what is seen on an idle machine, where other tests run beside; each was several times this before.
HELD_MS = 200.0
GROWN_MIB = 64.0
BYTES_OUT = 64 * 1024


@pytest.fixture(scope="module")
def house(broker: SessionBroker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A program for all of them."""
    with broker.fresh_vhost() as url, a_house(url, tmp_path_factory.mktemp("small")) as running:
        yield running


@pytest.mark.parametrize("name", INPUTS)
def test_a_small_input_costs_little(house: House, name: str) -> None:
    """Neither time of others, nor memory, nor bytes."""
    with house.stranger() as stranger, Watch(house) as watch:
        bytes_out = INPUTS[name].send(house, stranger)

    assert watch.held_ms < HELD_MS
    assert watch.grown_mib < GROWN_MIB
    assert bytes_out < BYTES_OUT
    assert house.health() == 200
