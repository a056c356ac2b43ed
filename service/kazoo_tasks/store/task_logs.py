"""The logs of tasks as files beside the journal: one for each attempt that said something.

Touches the data directory in a thread of its own; used by core.task_logs through ports.LogStore.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

import structlog

from kazoo_tasks.model.errors import StoreUnavailable
from kazoo_tasks.model.task_log import KeptLog, LogPart, Stream
from kazoo_tasks.store.directory import DataDirectory, create_private

_MAGIC: Final = b"kazoo-tasks log 1\n"
#: The first words of a file, and how many bytes were said in all.
_HEAD: Final = struct.Struct(f">{len(_MAGIC)}sQ")
#: Place, Unix time, stream and number of the bytes that follow.
_PART: Final = struct.Struct(">QdBI")
_CODES: Final = {Stream.STDOUT: 1, Stream.STDERR: 2, Stream.LOGGING: 3}
_STREAMS: Final = {code: stream for stream, code in _CODES.items()}
_DRAFT: Final = ".partial"
_log = structlog.get_logger(__name__)
T = TypeVar("T")


class TaskLogFiles:
    """`ports.LogStore` in the data directory, which the journal has locked.

    A file is replaced whole and not forced to the disk: a power cut may take the last words of a run.
    """

    def __init__(self, data_dir: Path) -> None:
        """Name the directory, without touching it."""
        self._path = DataDirectory(data_dir.absolute()).task_logs
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="task-logs")

    async def write(self, task_id: str, attempt: int, kept: KeptLog) -> None:
        """See `ports.LogStore`."""
        await self._run(_write, self._file(task_id, attempt), kept)

    async def read(self, task_id: str, attempt: int) -> KeptLog:
        """See `ports.LogStore`."""
        return await self._run(_read, self._file(task_id, attempt))

    def remove(self, attempts: Mapping[str, int]) -> None:
        """See `ports.LogStore`."""
        # All at once: to hand something to a thread costs more than to name a file.
        self._thread.submit(self._remove, attempts)

    def _remove(self, attempts: Mapping[str, int]) -> None:
        for task_id, last in attempts.items():
            _unlink([self._file(task_id, attempt) for attempt in range(1, last + 1)])

    async def keep_only(self, is_known: Callable[[str], bool]) -> None:
        """See `ports.LogStore`."""
        await self._run(_sweep, self._path, is_known)

    async def close(self) -> None:
        """See `ports.LogStore`."""
        await asyncio.to_thread(self._thread.shutdown)

    async def _run(self, call: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call, *arguments)

    def _file(self, task_id: str, attempt: int) -> Path:
        # A directory of a million entries is slow to list and to back up.
        return self._path / task_id[:2] / f"{task_id}.{attempt}"


def _write(file: Path, kept: KeptLog) -> None:
    draft = file.with_name(file.name + _DRAFT)
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        create_private(draft)
        draft.write_bytes(b"".join(_encoded(kept)))
        draft.replace(file)
    except OSError as error:
        with suppress(OSError):
            draft.unlink(missing_ok=True)
        message = f"{file} cannot be written: {error.strerror}"
        raise StoreUnavailable(message) from error


def _encoded(kept: KeptLog) -> Iterator[bytes]:
    yield _HEAD.pack(_MAGIC, kept.size)
    for place, (at, stream, data) in kept.parts:
        yield _PART.pack(place, at, _CODES[stream], len(data))
        yield data


def _read(file: Path) -> KeptLog:
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return KeptLog(0, [])
    except OSError as error:
        message = f"{file} cannot be read: {error.strerror}"
        raise StoreUnavailable(message) from error
    kept, is_whole = _decoded(content)
    if not is_whole:
        # What comes before the damage is right, and better than nothing.
        _log.warning("task_logs.damaged", file=str(file), readable_parts=len(kept.parts))
    return kept


def _decoded(content: bytes) -> tuple[KeptLog, bool]:
    """What is kept, up to where it makes no sense, and whether that is the end."""
    parts: list[tuple[int, LogPart]] = []
    magic, size = _HEAD.unpack_from(content.ljust(_HEAD.size, b"\0"))
    if magic != _MAGIC:
        return KeptLog(0, parts), False
    begin = _HEAD.size
    while begin + _PART.size <= len(content):
        place, at, code, length = _PART.unpack_from(content, begin)
        end = begin + _PART.size + length
        if code not in _STREAMS or end > len(content):
            break
        parts.append((place, LogPart(at, _STREAMS[code], content[begin + _PART.size : end])))
        begin = end
    return KeptLog(size, parts), begin == len(content)


def _unlink(files: Sequence[Path]) -> None:
    for file in files:
        try:
            file.unlink(missing_ok=True)
        except OSError as error:
            _log.warning("task_logs.not_removed", file=str(file), reason=error.strerror)


def _sweep(path: Path, is_known: Callable[[str], bool]) -> None:
    strays = [file for file in path.glob("*/*") if file.suffix == _DRAFT or not is_known(file.stem)]
    _unlink(strays)
    if strays:
        _log.info("task_logs.swept", files=len(strays))
