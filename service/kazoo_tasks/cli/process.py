"""The commands that run: service, gateway, or both in one process.

Touches signals and the event loop; assembly does the work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import typer
import uvloop

from kazoo_tasks.assembly.log import set_up_logging
from kazoo_tasks.cli.option import BusUrl, Config, settings_of
from kazoo_tasks.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(service)
    app.command()(gateway)
    app.command()(run)


def service(config: Config = None, bus: BusUrl = None) -> None:
    """Run the service: take requests from the broker and execute tasks."""
    from kazoo_tasks.assembly import service_alone

    _run(service_alone.run, settings_of(config, bus))


def gateway(config: Config = None, bus: BusUrl = None) -> None:
    """Run the gateway: turn REST requests into requests to the service."""
    from kazoo_tasks.assembly import gateway_alone

    _run(gateway_alone.run, settings_of(config, bus))


def run(config: Config = None, bus: BusUrl = None) -> None:
    """Run service and gateway in one process."""
    from kazoo_tasks.assembly import together

    _run(together.run, settings_of(config, bus))


def _run(program: Callable[[Settings], Coroutine[Any, Any, None]], settings: Settings) -> None:
    set_up_logging(settings)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(program(settings))
