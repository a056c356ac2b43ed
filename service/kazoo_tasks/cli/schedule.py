"""The commands for schedules: what is started again and again.

Touches the bus, as a client of the service.
"""

from __future__ import annotations

import json
from typing import Annotated

import typer

from kazoo_tasks.cli.option import Account, BusUrl, Config, settings_of
from kazoo_tasks.cli.task import array, reply, said

app = typer.Typer(
    name="schedule", help="Start tasks again and again.", no_args_is_help=True, rich_markup_mode=None
)
ScheduleId = Annotated[str, typer.Argument(help="Its id.", metavar="SCHEDULE")]


@app.command("list")
def list_schedules(account: Account, config: Config = None, bus: BusUrl = None) -> None:
    """List those of an account."""
    for schedule in reply(settings_of(config, bus), "schedule_list_req", {"Account-ID": account})["Reply"]:
        print(json.dumps(schedule))


@app.command()
def add(  # noqa: PLR0913 - a command's options are its parameters
    account: Account,
    module: Annotated[str, typer.Argument(help="Task module.")],
    function: Annotated[str, typer.Argument(help="Function of the module.")],
    arguments: Annotated[str, typer.Argument(help="Arguments, as a JSON array.")] = "[]",
    *,
    cron: Annotated[str | None, typer.Option(help="Minute, hour, day, month, weekday.")] = None,
    time_zone: Annotated[str | None, typer.Option(help="Of cron, such as Europe/Berlin.")] = None,
    interval: Annotated[int | None, typer.Option(help="Seconds.", metavar="SECONDS")] = None,
    misfire: Annotated[
        str | None, typer.Option(help="What was missed: skip, run_once (if not given) or catch_up.")
    ] = None,
    catch_up: Annotated[int | None, typer.Option(help="How many of them are made up for.")] = None,
    config: Config = None,
    bus: BusUrl = None,
) -> None:
    """Add one, by --cron or --interval."""
    times = {"cron": cron, "time_zone": time_zone, "interval": interval}
    what = said({**times, "misfire": misfire, "catch_up": catch_up})
    schedule = {"module": module, "function": function, "arguments": array(arguments), **what}
    fields = {"Account-ID": account, "Schedule": schedule}
    print(json.dumps(reply(settings_of(config, bus), "schedule_add_req", fields)["Reply"]))


@app.command()
def show(schedule: ScheduleId, config: Config = None, bus: BusUrl = None) -> None:
    """Show one, with its next five times."""
    _ask("schedule_read_req", schedule, {}, config, bus)


@app.command()
def pause(schedule: ScheduleId, config: Config = None, bus: BusUrl = None) -> None:
    """Start nothing of it until it is resumed."""
    _ask("schedule_change_req", schedule, {"Schedule": {"paused": True}}, config, bus)


@app.command()
def resume(schedule: ScheduleId, config: Config = None, bus: BusUrl = None) -> None:
    """Go on after a pause."""
    _ask("schedule_change_req", schedule, {"Schedule": {"paused": False}}, config, bus)


@app.command()
def run(schedule: ScheduleId, config: Config = None, bus: BusUrl = None) -> None:
    """Start its task now."""
    _ask("schedule_run_req", schedule, {}, config, bus)


@app.command()
def remove(schedule: ScheduleId, config: Config = None, bus: BusUrl = None) -> None:
    """Forget it; what it started goes on."""
    _ask("schedule_remove_req", schedule, {}, config, bus)


def _ask(event: str, schedule: str, more: dict[str, object], config: Config, bus: BusUrl) -> None:
    print(json.dumps(reply(settings_of(config, bus), event, {"Schedule-ID": schedule, **more})["Reply"]))
