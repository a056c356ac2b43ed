"""A service with nothing but a pool, to be killed: `python -m support.pool_service FOLDER MODULE FUNCTION...`.

Imports a library that children must not have; prints the process ids below it once all functions run.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import aiohttp

from support.pool import a_pool, all_written, descendants


async def main(folder: Path, module: str, functions: list[str]) -> None:
    """Run the functions, each with a file to write into, and wait to be killed."""
    assert aiohttp.__name__ in sys.modules
    async with a_pool(size=len(functions) + 1, modules=(module,)) as bench:
        for number, function in enumerate(functions):
            await bench.begin(function, str(folder / str(number)))
            await all_written(folder / str(number))
        imported = await bench.result("modules")
        print(json.dumps({"below": list(descendants(os.getpid())), "imported": imported}), flush=True)  # noqa: T201
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], sys.argv[3:]))
