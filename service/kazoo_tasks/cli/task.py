"""The commands for tasks, as `sup tasks_maintenance` has them for Kazoo.

Touches nothing but the bus: the service decides, also for operators. What is printed is JSON, an object a line.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer

from kazoo_tasks.cli.option import Account, BusUrl, Config, GivenTask, TaskId, settings_of
from kazoo_tasks.model.errors import KazooTasksError
from kazoo_tasks.model.task import STATUSES
from kazoo_tasks.settings import Settings

Gregorian = Annotated[
    int | None, typer.Option(metavar="SECONDS", help="Gregorian seconds, as tasks have them.")
]
Delay = Annotated[int | None, typer.Option(metavar="SECONDS", help="Start it by itself, so much later.")]
StartAt = Annotated[
    int | None, typer.Option(metavar="SECONDS", help="Start it by itself at this time, in Gregorian seconds.")
]
#: As long as Kazoo's crossbar waits; and for modules, which may import much.
_PATIENCE_S: Final = 2.0
_RELOAD_S: Final = 60.0
#: All but the end of a line and the tabulator.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(functions)
    app.command("list")(list_tasks)
    app.command()(add)
    app.command()(show)
    app.command()(stack)
    app.command()(log)
    app.command()(audit)
    app.command()(pool)
    app.command()(reload)
    app.command()(breaker)
    app.command()(start)
    app.command()(retry)
    app.command()(stop)
    app.command()(remove)


def functions(config: Config = None, bus: BusUrl = None) -> None:
    """List what can be run."""
    catalogue = reply(settings_of(config, bus), "lookup_req", {})["Help"]
    for module, entries in sorted(catalogue.items()):
        for name, entry in sorted(entries.items()):
            arguments = ", ".join(
                f"{argument['name']}: {argument['type']}" for argument in entry["arguments"]
            )
            print(f"{module}.{name}({arguments})  {entry['description']}")


def list_tasks(  # noqa: PLR0913 - a command's options are its parameters
    account: Account,
    *,
    status: Annotated[str | None, typer.Option(help=f"One of {', '.join(STATUSES)}.")] = None,
    module: Annotated[str | None, typer.Option(help="Task module.")] = None,
    function: Annotated[str | None, typer.Option(help="Function.")] = None,
    created_from: Gregorian = None,
    created_to: Gregorian = None,
    config: Config = None,
    bus: BusUrl = None,
) -> None:
    """List an account's tasks, oldest first; all of those that pass every filter."""
    if status is not None and status not in STATUSES:
        raise KazooTasksError(f"expected --status to be one of {', '.join(STATUSES)}, got {status!r}")
    filters = {
        "Status": status,
        "Module": module,
        "Function": function,
        "Created-From": created_from,
        "Created-To": created_to,
    }
    given = {name: value for name, value in filters.items() if value is not None}
    asyncio.run(_pages(settings_of(config, bus), "list_req", {"Account-ID": account, **given}))


def add(  # noqa: PLR0913 - a command's options are its parameters
    account: Account,
    module: Annotated[str, typer.Argument(help="Task module.")],
    function: Annotated[str, typer.Argument(help="Function of the module.")],
    arguments: Annotated[str, typer.Argument(help="Arguments, as a JSON array.")] = "[]",
    *,
    start: Annotated[bool, typer.Option("--start", help="Start it at once.")] = False,
    priority: Annotated[
        int | None, typer.Option(min=0, max=9, help="The higher the sooner, among those of the account.")
    ] = None,
    key: Annotated[
        str | None, typer.Option(help="Those of the account with the same key run one after the other.")
    ] = None,
    delay: Delay = None,
    start_at: StartAt = None,
    config: Config = None,
    bus: BusUrl = None,
) -> None:
    """Add a task."""
    what: dict[str, object] = {"Module": module, "Function": function, "Arguments": array(arguments)}
    what |= said({"Priority": priority, "Concurrency-Key": key, "Delay": delay, "Start-At": start_at})
    _show(settings_of(config, bus), "add_req", {"Account-ID": account, "Start": start, **what})


def show(
    task: TaskId,
    *,
    explain: Annotated[
        bool, typer.Option("--explain", help="And why it waits, or what its run takes.")
    ] = False,
    config: Config = None,
    bus: BusUrl = None,
) -> None:
    """Show a task."""
    _show(settings_of(config, bus), "read_req", {"Task-ID": task, "Explain": explain})


def stack(task: TaskId, config: Config = None, bus: BusUrl = None) -> None:
    """Show where a running task is: the stack of each of its threads and coroutines."""
    told = reply(settings_of(config, bus), "stack_req", {"Task-ID": task})["Reply"]["stack"]
    if not told:
        raise KazooTasksError(
            "expected the task to say where it is within a second, got nothing: it blocks signals"
        )
    print(told)


def log(  # noqa: PLR0913 - a command's options are its parameters
    task: TaskId,
    *,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on for as long as the task does.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="JSON lines, with time and stream of each.")
    ] = False,
    attempt: Annotated[int | None, typer.Option(help="Of this attempt instead of the last.", min=1)] = None,
    config: Config = None,
    bus: BusUrl = None,
) -> None:
    """Show what a task printed and logged."""
    asyncio.run(_log(settings_of(config, bus), task, attempt, follow=follow, as_json=as_json))


def audit(
    account: Account,
    task: GivenTask = None,
    most: Annotated[int, typer.Option(help="Entries at most.", min=1)] = 1_000,
    config: Config = None,
    bus: BusUrl = None,
) -> None:
    """Show who did what with an account's tasks, when, and what the answer was; newest first."""
    about = {"Task-ID": task} if task else {}
    asyncio.run(_pages(settings_of(config, bus), "audit_req", {"Account-ID": account, **about}, most))


def pool(config: Config = None, bus: BusUrl = None) -> None:
    """Show what each slot of the pool is doing, and what that takes."""
    for slot in reply(settings_of(config, bus), "pool_req", {})["Reply"]:
        print(json.dumps(slot))


def reload(config: Config = None, bus: BusUrl = None) -> None:
    """Load the task modules anew; what runs ends with the code that it began with."""
    versions = reply(settings_of(config, bus), "reload_req", {}, _RELOAD_S)["Reply"]
    for module, version in sorted(versions.items()):
        print(f"{module}  {version}")


def breaker(
    opened: Annotated[
        str | None, typer.Option("--open", metavar="FUNCTION", help="Leave `module.function` alone.")
    ] = None,
    closed: Annotated[
        str | None, typer.Option("--close", metavar="FUNCTION", help="Run `module.function` again.")
    ] = None,
    config: Config = None,
    bus: BusUrl = None,
) -> None:
    """Show the functions that are left alone since their runs died, or leave one alone, or run it again."""
    if opened and closed:
        message = "expected --open or --close, got both"
        raise typer.BadParameter(message)
    module, _, function = (opened or closed or "").rpartition(".")
    what = {"Module": module, "Function": function, "Open": bool(opened)} if opened or closed else {}
    for shown in reply(settings_of(config, bus), "breaker_req", what)["Reply"]:
        print(json.dumps(shown))


def start(
    task: TaskId,
    delay: Delay = None,
    start_at: StartAt = None,
    config: Config = None,
    bus: BusUrl = None,
) -> None:
    """Run a pending task, now or later."""
    _show(
        settings_of(config, bus),
        "start_req",
        {"Task-ID": task, **said({"Delay": delay, "Start-At": start_at})},
    )


def retry(task: TaskId, config: Config = None, bus: BusUrl = None) -> None:
    """Run a failed task once more: its next attempt."""
    _show(settings_of(config, bus), "retry_req", {"Task-ID": task})


def stop(task: TaskId, config: Config = None, bus: BusUrl = None) -> None:
    """End a waiting or running task."""
    _show(settings_of(config, bus), "stop_req", {"Task-ID": task})


def remove(task: TaskId, config: Config = None, bus: BusUrl = None) -> None:
    """Forget a task that is neither waiting nor running."""
    _show(settings_of(config, bus), "remove_req", {"Task-ID": task})


def said(options: Mapping[str, object]) -> dict[str, object]:
    """Those that were given."""
    return {name: value for name, value in options.items() if value is not None}


def _show(settings: Settings, event: str, fields: Mapping[str, object]) -> None:
    print(json.dumps(reply(settings, event, fields)["Reply"]))


def reply(
    settings: Settings, event: str, fields: Mapping[str, object], within_s: float = _PATIENCE_S
) -> dict[str, Any]:
    """The service's reply to a request.

    Raises:
        BusUnavailable: There is none in time.
        KazooTasksError: It is a refusal.
    """
    from kazoo_tasks.assembly.client import connected

    async def asked() -> dict[str, Any]:
        async with connected(settings, within_s) as ask:
            return await ask(event, fields)

    return asyncio.run(asked())


async def _pages(settings: Settings, event: str, fields: dict[str, object], most: int = sys.maxsize) -> None:
    from kazoo_tasks.assembly.client import connected

    left = most
    async with connected(settings) as ask:
        while left:
            page = await ask(event, fields)
            for shown in page["Reply"][:left]:
                print(json.dumps(shown))
            left -= min(left, len(page["Reply"]))
            if "Next-Start-Key" not in page:
                return
            fields["Start-Key"] = page["Next-Start-Key"]


async def _log(settings: Settings, task: str, attempt: int | None, *, follow: bool, as_json: bool) -> None:
    from kazoo_tasks.assembly.client import connected
    from kazoo_tasks.wire.log_reader import log_pages
    from kazoo_tasks.wire.task_log import Lines, plain

    lines = Lines()
    show = lines.add if as_json else plain
    async with connected(settings) as ask:

        async def page_of(where: Mapping[str, object]) -> Mapping[str, Any]:
            page: Mapping[str, Any] = (await ask("log_req", {"Task-ID": task, **where}))["Reply"]
            return page

        async for page in log_pages(page_of, attempt, _PATIENCE_S if follow else None):
            _write(show(page["entries"]))
    _write(lines.finish())


def _write(text: str) -> None:
    """What a task printed could otherwise do to a terminal whatever a terminal can be told to do."""
    if sys.stdout.isatty():
        text = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
    sys.stdout.write(text)
    sys.stdout.flush()


def array(text: str) -> list[Any]:
    """The JSON array that a text is.

    Raises:
        KazooTasksError: It is none.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise KazooTasksError(f"expected the arguments to be a JSON array, got: {error}") from error
    if not isinstance(value, list):
        raise KazooTasksError(f"expected the arguments to be a JSON array, got {text}")
    return value
