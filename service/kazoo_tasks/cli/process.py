"""The commands that run: service, gateway, or both in one process.

Touches signals and the event loop; assembly does the work.
"""

from __future__ import annotations

import asyncio

import typer
import uvloop

from kazoo_tasks.assembly.log import set_up_logging
from kazoo_tasks.assembly.program import Program, run_both, run_gateway, run_service
from kazoo_tasks.cli.option import BusUrl, Config, settings_of
from kazoo_tasks.settings import Settings


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command()(service)
    app.command()(gateway)
    app.command()(run)


def service(config: Config = None, bus: BusUrl = None) -> None:
    """Run the service: take requests from the broker and execute tasks."""
    _run(run_service, settings_of(config, bus))


def gateway(config: Config = None, bus: BusUrl = None) -> None:
    """Run the gateway: turn REST requests into requests to the service."""
    _run(run_gateway, settings_of(config, bus))


def run(config: Config = None, bus: BusUrl = None) -> None:
    """Run service and gateway in one process."""
    _run(run_both, settings_of(config, bus))


def _run(program: Program, settings: Settings) -> None:
    set_up_logging(settings)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(program(settings))
