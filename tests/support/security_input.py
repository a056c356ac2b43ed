"""Small inputs that were dear, and what they cost: the list, and the table of it.

Touches a broker and a program; `python -m support.security_input` prints the table, of any checkout's service.
"""

from __future__ import annotations

import gzip
import json
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rabbitmq import PrivateNode
from support.acceptance import ACCOUNT
from support.acceptance_wire import Stranger
from support.security_house import TASKS, House, Watch, a_house

_LISTS: Final = b"[" + b"[]," * 2_600_000 + b"1]"
_DEEP: Final = b"[" + b",".join([b"[" * 200 + b"1" + b"]" * 200] * 300) + b"]"
_DIGITS: Final = b"[" + b"1234567890123456789," * 40_000 + b"1]"
_FLOATS: Final = b"[" + b"0.12345678901234567890123456789," * 30_000 + b"1]"


@dataclass(frozen=True, slots=True)
class Input:
    """Something that anybody, or a token's owner, may send.

    Attributes:
        size: Bytes that it takes.
        send: Sends it, waits until it is dealt with, and gives the bytes that came back.
    """

    size: int
    send: Callable[[House, Stranger], int]


def _put(body: bytes, query: str = "", **headers: str) -> Input:
    packed = gzip.compress(body, 9)
    return Input(
        len(packed),
        lambda house, _: house.ask("PUT", query, packed, Content_Encoding="gzip", **headers).bytes_out,
    )


def _data(value: bytes) -> bytes:
    return b'{"data":{"module":"timer","function":"sleep","arguments":' + value + b"}}"


def _pipelined(count: int) -> Input:
    body = gzip.compress(_LISTS, 9)
    head = f"PUT {TASKS} HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n"
    one = head.encode() + body

    def send(house: House, _: Stranger) -> int:
        came = 0
        with socket.create_connection(("127.0.0.1", house.port), timeout=60) as connection:
            connection.sendall(one * count)
            connection.shutdown(socket.SHUT_WR)
            try:
                while part := connection.recv(65_536):
                    came += len(part)
            except ConnectionResetError:
                pass
        return came

    return Input(len(one) * count, send)


def _message(**fields: object) -> bytes:
    message: dict[str, Any] = {
        "App-Name": "crossbar",
        "App-Version": "4.0.0",
        "Event-Category": "tasks",
        "Event-Name": "add_req",
        "Msg-ID": "small",
        "Server-ID": "stranger",
        "Account-ID": ACCOUNT,
        **fields,
    }
    return json.dumps(message).encode()


def _post(body: bytes, replies: int, *, times: int = 1, packed: bool = True) -> Input:
    sent = gzip.compress(body, 9) if packed else body

    def send(_: House, stranger: Stranger) -> int:
        for _time in range(times):
            stranger.post(sent, "tasks.add", content_encoding="gzip" if packed else None)
        # Whatever else became of it, it is dealt with when what comes after it is answered.
        came = [len(post.body) for post in stranger.take(stranger.address, replies)] if replies else []
        stranger.ask("list_req", Account_ID=ACCOUNT)
        return sum(came)

    return Input(len(sent) * times, send)


def _stuffed(value: bytes) -> bytes:
    return _message(Module="timer", Function="sleep", Arguments="@").replace(b'"@"', value)


INPUTS: Final[dict[str, Input]] = {
    "REST, no token: 8 MB of `[],` as gzip": _put(_LISTS, X_Auth_Token=""),
    "REST, no token: five of them pipelined": _pipelined(5),
    "REST: the same with a token": _put(_LISTS),
    "REST: 300 lists nested 200 deep, echoed, indented": _put(
        b'{"data":{"module":' + _DEEP + b"}}", "?pretty_print=true"
    ),
    "REST: 10,000 empty tasks": _put(b'{"data":[' + b"{}," * 9_999 + b"{}]}"),
    "REST: 40,000 integers of 19 digits": _put(_data(_DIGITS)),
    "REST: 30,000 floats of 29 digits": _put(_data(_FLOATS)),
    "REST: 100,000 wrong arguments": _put(_data(b"[" + b"{}," * 100_000 + b"1]")),
    "AMQP: 1.9 million empty lists as gzip, 12 times": _post(
        _stuffed(b"[" + b"[]," * 1_900_000 + b"1]"), 0, times=12
    ),
    "AMQP: 10,000 empty tasks": _post(_message(Tasks=[{}] * 10_000), 1),
    "AMQP: an argument of 7.9 MB for which there is no function": _post(
        _message(Module="knm_converters", Function="normalize", Arguments=[["x" * 7_900_000]]),
        1,
        packed=False,
    ),
}


def main() -> None:
    """Print what each costs a program of its own."""
    _say("| input | bytes in | nobody else answered for | memory | bytes out |\n|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder, PrivateNode(Path(folder) / "rabbitmq") as node:
        for place, (name, given) in enumerate(INPUTS.items()):
            home = Path(folder) / str(place)
            home.mkdir()
            with a_house(node.url, home) as house, house.stranger() as stranger:
                with Watch(house) as watch:
                    came = given.send(house, stranger)
                seen = f"{watch.held_ms:,.0f} ms | {watch.grown_mib:,.0f} MiB | {came:,}"
            _say(f"| {name} | {given.size:,} | {seen} |")


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
