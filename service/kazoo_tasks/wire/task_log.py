"""A task's log on the wire, and as text for people.

Pure; written by the listener, read by the gateway and the commands.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from kazoo_tasks.model.task_log import LeftOut, LogPart, Stream
from kazoo_tasks.wire.codec import decode_object

#: A line without an end is not waited for for ever.
_MAX_LINE: Final = 64 * 1024


def entry(part: LogPart | LeftOut) -> dict[str, Any]:
    """A part as it is sent; what is no UTF-8 is written with backslashes."""
    if isinstance(part, LeftOut):
        return {"left_out": part.size}
    head = {"at": round(part.at, 6), "stream": str(part.stream)}
    if part.stream is Stream.LOGGING:
        return {**head, **decode_object(part.data)}
    return {**head, "text": part.data.decode(errors="backslashreplace")}


def plain(entries: Iterable[Mapping[str, Any]]) -> str:
    """Entries as a terminal would have shown them, records a line each."""
    return "".join(map(_plain, entries))


class Lines:
    """Entries as JSON lines: what was printed line by line, however it was cut into parts."""

    def __init__(self) -> None:
        """Begin between two lines."""
        self._unfinished: dict[str, dict[str, Any]] = {}

    def add(self, entries: Iterable[Mapping[str, Any]]) -> str:
        """The lines that are complete now."""
        return "".join(map(_json_line, self._complete(entries)))

    def finish(self) -> str:
        """What is left, which has no end."""
        unfinished, self._unfinished = self._unfinished, {}
        return "".join(map(_json_line, unfinished.values()))

    def _complete(self, entries: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
        for each in entries:
            if each.get("stream") == Stream.LOGGING:
                yield each
            elif "left_out" in each:
                yield from self._unfinished.values()
                self._unfinished.clear()
                yield each
            else:
                yield from self._split(each)

    def _split(self, printed: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        stream = printed["stream"]
        begun = self._unfinished.pop(stream, None)
        first, *others = printed["text"].split("\n")
        line = {**printed, "text": first} if begun is None else {**begun, "text": begun["text"] + first}
        for following in others:
            yield line
            line = {**printed, "text": following}
        if len(line["text"]) > _MAX_LINE:
            yield line
        elif line["text"]:
            self._unfinished[stream] = line


def _json_line(shown: Mapping[str, Any]) -> str:
    return json.dumps(shown, ensure_ascii=False) + "\n"


def _plain(told: Mapping[str, Any]) -> str:
    if "left_out" in told:
        return f"\n[… {told['left_out']:,} bytes are left out here …]\n"
    if told["stream"] != Stream.LOGGING:
        return str(told["text"])
    at = datetime.fromtimestamp(told["at"], UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    logger = f" {told['logger']}:" if "logger" in told else ""
    fields = "".join(f" {name}={_value(value)}" for name, value in told.get("fields", {}).items())
    return f"{at} {told['level']}{logger} {told['text']}{fields}\n"


def _value(value: object) -> str:
    is_word = isinstance(value, str) and value.isprintable() and value and " " not in value
    return str(value) if is_word else json.dumps(value, ensure_ascii=False)
