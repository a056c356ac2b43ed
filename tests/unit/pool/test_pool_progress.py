"""Progress: the newest report, not too often, and none after the end."""

from __future__ import annotations

import json

import pytest

from kazoo_tasks.pool.outcomes import of_progress
from kazoo_tasks.pool.progress import Progress


class _Ticker:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_first_and_the_last_report_are_sent() -> None:
    """What came between within the pace is left out."""
    sent: list[dict[str, object]] = []
    progress = Progress(lambda text: sent.append(json.loads(text)), _Ticker())
    for done in range(5):
        progress.report(done)
    progress.finish()
    progress.report(9)
    assert sent == [{"done": 0}, {"done": 4}]


def test_a_report_is_sent_when_it_is_time() -> None:
    """A tenth of a second later."""
    sent: list[dict[str, object]] = []
    ticker = _Ticker()
    progress = Progress(lambda text: sent.append(json.loads(text)), ticker)
    progress.report(1, 2, "a")
    ticker.now = 0.1
    progress.report(2, 2)
    assert sent == [{"done": 1, "total": 2, "note": "a"}, {"done": 2, "total": 2}]


@pytest.mark.parametrize("report", [(-1,), (True,), (1.5,), (1, -1), (1, 2, "x" * 1025), (1, 2, 3), (2**63,)])
def test_a_bad_report_is_refused(report: tuple[int, ...]) -> None:
    """It is said what was expected."""
    with pytest.raises(ValueError, match="expected "):
        Progress(lambda _text: None, _Ticker()).report(*report)  # type: ignore[arg-type]  # wrong on purpose


@pytest.mark.parametrize("text", [b"", b"{}", b"1", b'{"done":-1}', b'{"done":1,"x":1}', b"\xff"])
def test_bytes_that_are_no_report_are_known(text: bytes) -> None:
    """A child's bytes are not trusted."""
    assert of_progress(text) is None
    assert of_progress(b'{"done": 1,"total":2,"note":"x"}') == b'{"done":1,"total":2,"note":"x"}'
