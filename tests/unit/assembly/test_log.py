"""The log: one line an event, and no reason to stop."""

from __future__ import annotations

import io
import json
import os

import pytest
import structlog

from kazoo_tasks.assembly.log import Patient, set_up_logging
from kazoo_tasks.settings import load_settings
from kazoo_tasks.wire.codec import log_line


def test_whatever_is_in_an_event_is_a_line() -> None:
    """What JSON does not know, by its `repr`."""
    lines = [log_line({"event": "e", "what": what}) for what in (1, b"x", {1: 2}, "\ud800", object)]

    assert all(json.loads(line)["event"] in ("e", "'e'") for line in lines)


def test_a_log_that_nobody_reads_any_more_is_lost_quietly() -> None:
    """The reader's end of the pipe is gone."""
    reader, writer = os.pipe()
    os.close(reader)
    with io.FileIO(writer, "w") as pipe:
        patient = Patient(pipe)
        patient.write(b"line")
        patient.flush()


@pytest.mark.parametrize(("form", "expected"), [("json", b'"event":"said"'), ("console", b"said")])
def test_both_forms_reach_stderr(
    capfdbinary: pytest.CaptureFixture[bytes], form: str, expected: bytes
) -> None:
    """One line each."""
    set_up_logging(load_settings(overrides={"log_format": form}))
    structlog.configure(cache_logger_on_first_use=False)
    structlog.get_logger("test").warning("said", what=1)

    (line,) = capfdbinary.readouterr().err.splitlines()
    assert expected in line
