"""When a schedule has its times, where clocks are set forward and back."""

from datetime import datetime
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from kazoo_tasks.model.schedule import Rule
from kazoo_tasks.wire.cron import check_cron, check_time_zone, next_time, times, times_back

EPOCH = 62_167_219_200
BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"


def at(zone: str, moment: str, fold: int = 0) -> int:
    """Gregorian seconds of a moment as a clock there shows it."""
    shown = datetime.fromisoformat(moment).replace(tzinfo=ZoneInfo(zone), fold=fold)
    return int(shown.timestamp()) + EPOCH


def seen(zone: str, cron: str, after: str, number: int) -> list[str]:
    """The next times, as a clock there shows them, with their distance from UTC."""
    found = islice(times(Rule(cron, zone), at(zone, after), 0), number)
    moments = [datetime.fromtimestamp(time - EPOCH, ZoneInfo(zone)) for time in found]
    return [moment.strftime("%m-%d %H:%M%z") for moment in moments]


@pytest.mark.parametrize(
    ("zone", "cron", "after", "wanted"),
    [
        # An hour that is left out: once, right after it.
        (BERLIN, "30 2 * * *", "2026-03-28T12:00", ["03-29 03:00+0200", "03-30 02:30+0200"]),
        (NEW_YORK, "30 2 * * *", "2027-03-13T12:00", ["03-14 03:00-0400", "03-15 02:30-0400"]),
        # An hour that comes twice: once, the first time.
        (BERLIN, "30 2 * * *", "2026-10-24T12:00", ["10-25 02:30+0200", "10-26 02:30+0100"]),
        (NEW_YORK, "30 1 * * *", "2026-10-31T12:00", ["11-01 01:30-0400", "11-02 01:30-0500"]),
        (
            BERLIN,
            "*/30 2 * * *",
            "2026-10-25T00:30",
            ["10-25 02:00+0200", "10-25 02:30+0200", "10-26 02:00+0100"],
        ),
        # So is what comes several times in such an hour.
        (BERLIN, "*/15 2 * * *", "2026-03-28T12:00", ["03-29 03:00+0200", "03-30 02:00+0200"]),
        (BERLIN, "0 */2 * * *", "2026-10-25T01:00", ["10-25 02:00+0200", "10-25 04:00+0100"]),
        (BERLIN, "0 */2 * * *", "2026-03-29T01:00", ["03-29 03:00+0200", "03-29 04:00+0200"]),
        # Every hour is every hour, however clocks are set.
        (
            BERLIN,
            "0 * * * *",
            "2026-10-25T01:30",
            ["10-25 02:00+0200", "10-25 02:00+0100", "10-25 03:00+0100"],
        ),
        (
            BERLIN,
            "*/30 * * * *",
            "2026-03-29T01:15",
            ["03-29 01:30+0100", "03-29 03:00+0200", "03-29 03:30+0200"],
        ),
        (NEW_YORK, "0 * * * *", "2027-03-14T00:30", ["03-14 01:00-0500", "03-14 03:00-0400"]),
        # Days are those of the zone.
        ("UTC", "0 0 29 2 *", "2026-01-01T00:00", ["02-29 00:00+0000"]),
        (BERLIN, "0 9 * * MON-FRI", "2026-11-27T12:00", ["11-30 09:00+0100"]),
    ],
)
def test_the_times_of_an_expression(zone: str, cron: str, after: str, wanted: list[str]) -> None:
    """By fixed dates."""
    assert seen(zone, cron, after, len(wanted)) == wanted


@pytest.mark.parametrize("cron", ["30 2 * * *", "*/15 2 * * *", "*/20 * * * *", "0 */2 * * *"])
@pytest.mark.parametrize(
    ("zone", "begin"),
    [(BERLIN, "2026-10-24T23:00"), (BERLIN, "2026-03-28T23:00"), (NEW_YORK, "2026-10-31T23:00")],
)
def test_every_moment_of_such_a_night_has_its_next_time_and_its_last(
    cron: str, zone: str, begin: str
) -> None:
    """After it, or not after it, and none between: in the second of two hours as well."""
    rule, first = Rule(cron, zone), at(zone, begin)
    night = range(first, first + 8 * 3_600, 300)
    all_times = sorted({time for moment in night for time in islice(times(rule, moment, 0), 3)})
    for moment in night:
        upcoming = next(times(rule, moment, 0))
        assert upcoming == next(time for time in all_times if time > moment)
        past = [time for time in all_times if first < time <= moment]
        assert list(times_back(rule, moment, first + 1, 0)) == past[::-1]


def test_an_interval_counts_from_its_beginning() -> None:
    """So it does not drift, and is the same after a restart."""
    rule = Rule(interval=60)
    assert list(islice(times(rule, 1_000, 1_000), 3)) == [1_060, 1_120, 1_180]
    assert list(times_back(rule, 1_185, 1_100, 1_000)) == [1_180, 1_120]
    assert next_time(rule, 1_059, 1_000) == 1_060
    assert next_time(rule, 1_060, 1_000) == 1_120
    assert next_time(rule, 500, 1_000) == 1_060


@pytest.mark.parametrize(
    "wrong",
    [
        "",
        "* * * *",
        "* * * * * *",
        "@daily",
        "61 * * * *",
        "0 0 30 2 *",
        "0 0 * * MON#6",
        "x * * * *",
        "9" * 5000 + " * * * *",
    ],
)
def test_what_is_no_expression_is_refused(wrong: str) -> None:
    """Before it is kept."""
    with pytest.raises(ValueError, match="expected a cron expression"):
        check_cron(wrong)


@pytest.mark.parametrize("wrong", ["Mars/Phobos", "", "../etc/passwd", "Europe/Berlin\0", "/etc/localtime"])
def test_what_is_no_time_zone_is_refused(wrong: str) -> None:
    """Whatever a file of that name would hold."""
    with pytest.raises(ValueError, match="IANA name"):
        check_time_zone(wrong)
