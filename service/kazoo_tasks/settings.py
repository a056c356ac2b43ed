"""Every setting, once: names, defaults, bounds and what they mean.

The only reader of the environment and of the configuration file; the README's table is generated from it.
"""

from __future__ import annotations

import difflib
import os
import socket
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator
from pydantic_core import from_json

from kazoo_tasks.model.errors import CannotStart
from kazoo_tasks.model.identity import ACCOUNT_ID
from kazoo_tasks.model.limits import Limits
from kazoo_tasks.model.quota import NO_QUOTA, Quota

_MIB: Final = 2**20
#: A reader gets a whole log at once.
_MAX_LOG_KB: Final = 16 * 1024
#: Each of the last second is remembered.
_MAX_RATE: Final = 10_000
PREFIX: Final = "KAZOO_TASKS_"
#: Names the configuration file; the one variable of the prefix that is no setting.
CONFIG_VARIABLE: Final = f"{PREFIX}CONFIG"
DEVELOPMENT_ACCOUNT: Final = "1a2b3c4d5e6f708192a3b4c5d6e7f809"
DEVELOPMENT_TOKEN: Final = "dev-token-dev-token-dev-token-dev"  # noqa: S105 - printed in the README, loopback only
_SHIPPED: Final = (
    "kazoo_tasks.modules.timer",
    "kazoo_tasks.modules.knm_converters",
    "kazoo_tasks.modules.erlang",
)

#: Defaults that depend on the machine, in words.
_MACHINE: Final = {"pool_size": "number of processors", "node": "`kazoo-tasks@` and the host's name"}


def _account_id(key: str) -> str:
    if not ACCOUNT_ID.fullmatch(key):
        message = f"expected an account id (32 lower-case hexadecimal digits), got {key!r}"
        raise ValueError(message)
    return key


_AccountId = Annotated[str, AfterValidator(_account_id)]


class AccountLimits(BaseModel):
    """What a run of an account may take, in the words of the settings for every run."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    run_timeout_s: float | None = Field(None, gt=0)
    run_memory_mb: int | None = Field(None, ge=1)
    run_cpu_s: float | None = Field(None, gt=0)
    run_processes: int | None = Field(None, ge=1)
    run_open_files: int | None = Field(None, ge=16)
    run_file_mb: int | None = Field(None, ge=1)
    max_result_bytes: int | None = Field(None, ge=1)
    run_log_kb: int | None = Field(None, ge=1, le=_MAX_LOG_KB)
    account_running: int | None = Field(None, ge=1)
    account_starts_per_s: int | None = Field(None, ge=1, le=_MAX_RATE)
    account_waiting: int | None = Field(None, ge=0)
    account_stored: int | None = Field(None, ge=0)


class Settings(BaseModel):
    """What an operator can choose. The environment wins over the file, the command line over both."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, validate_default=True)

    amqp_url: SecretStr = Field(
        SecretStr("amqp://guest:guest@127.0.0.1:5672/"),
        description="The broker; `memory://` for an in-process one (REST only, for a first look).",
    )
    data_dir: Path = Field(
        Path("/var/lib/kazoo-tasks"), description="Where the journal and its snapshots are."
    )
    modules: tuple[str, ...] = Field(
        _SHIPPED,
        description="Task modules that may be run, comma-separated; those that installed packages publish under the "
        "entry-point group `kazoo_tasks.modules` come on top.",
    )
    pool_size: int = Field(
        default_factory=lambda: os.cpu_count() or 1, ge=1, le=1024, description="How many tasks run at once."
    )
    http_host: str = Field("127.0.0.1", description="Where the gateway listens.")
    http_port: int = Field(8000, ge=0, le=65_535, description="The gateway's port; 0 for any free one.")
    health_host: str = Field("127.0.0.1", description="Where a service without gateway answers `/health/…`.")
    health_port: int = Field(8001, ge=0, le=65_535, description="Its port; 0 for any free one.")
    tokens_file: Path | None = Field(
        None, description="JSON file of tokens, as `kazoo-tasks token new` writes it."
    )
    jwt_algorithm: Literal["RS256", "ES256", "HS256"] | None = Field(
        None, description="Accept JWTs signed by this algorithm and no other."
    )
    jwt_key_file: Path | None = Field(None, description="PEM public key or JWKS file, for RS256 and ES256.")
    jwt_secret: SecretStr | None = Field(None, description="Shared secret of at least 32 bytes, for HS256.")
    jwt_issuer: str = Field("kazoo", description="The `iss` that a JWT must have.")
    development: bool = Field(
        default=False,
        description=f"Accept the token `{DEVELOPMENT_TOKEN}` for account `{DEVELOPMENT_ACCOUNT}`; only on loopback.",
    )
    log_format: Literal["json", "console"] = Field("json", description="How log lines are written to stderr.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="The least that is logged."
    )
    node: str = Field(
        default_factory=lambda: f"kazoo-tasks@{socket.gethostname()}",
        pattern=r"^[^@\s]+@[^@\s]+$",
        description="The service's name in a Kazoo cluster, `name@host`; keep it stable.",
    )
    zone: str = Field("local", min_length=1, description="The Kazoo zone that heartbeats name.")
    heartbeat_s: float = Field(10.0, gt=0, le=300, description="Seconds between heartbeats on `nodes`.")
    queue: str = Field(
        "tasks.requests", min_length=1, max_length=200, description="The request queue's name."
    )
    queue_max_length: int = Field(
        10_000, ge=1, description="Requests that may wait in it; older ones are dead-lettered."
    )
    queue_ttl_s: int = Field(60, ge=1, description="Seconds after which a waiting request is dead-lettered.")
    broker_wait_s: float = Field(
        60.0, ge=0, le=3_600, description="How long a start waits for a broker that is not there yet."
    )
    prefetch: int = Field(256, ge=1, le=65_535, description="Requests that may be worked on at once.")
    amqp_timeout_s: float = Field(2.0, gt=0, le=60, description="How long the gateway waits for a reply.")
    dedupe_window_s: int = Field(
        600, ge=1, description="How long a repeated request is recognised, in seconds."
    )
    dedupe_max_mb: int = Field(64, ge=1, description="Replies kept for that, in MiB; the oldest go first.")
    max_arguments_bytes: int = Field(
        1_048_576, ge=2, le=8_000_000, description="Longest arguments of a task, as JSON text."
    )
    max_result_bytes: int = Field(
        65_536, ge=1, le=4_000_000, description="Longest result of a task, as JSON text."
    )
    stop_grace_s: float = Field(
        5.0, ge=0, le=300, description="Between SIGTERM and SIGKILL when a task is stopped."
    )
    run_timeout_s: float | None = Field(
        86_400.0, gt=0, description="Longest run of a task; its function may have a shorter one."
    )
    run_memory_mb: int | None = Field(
        2048, ge=1, description="Resident memory of a run with all that it started, in MiB."
    )
    run_cpu_s: float | None = Field(None, gt=0, description="Processor time of each process of a run.")
    run_processes: int | None = Field(256, ge=1, description="Processes that a run may have.")
    run_open_files: int | None = Field(None, ge=16, description="Descriptors of each process of a run.")
    run_file_mb: int | None = Field(None, ge=1, description="Longest file that a run may write, in MiB.")
    run_log_kb: int = Field(
        1024,
        ge=1,
        le=_MAX_LOG_KB,
        description="How much is kept of what a run prints and logs, in KiB: its beginning and its end.",
    )
    account_running: int | None = Field(
        None, ge=1, description="Tasks of an account that run at once; others wait."
    )
    account_starts_per_s: int | None = Field(
        None, ge=1, le=_MAX_RATE, description="Runs of an account that begin within a second; others wait."
    )
    account_waiting: int | None = Field(
        None, ge=0, description="Tasks of an account that may wait for a slot; one more is refused."
    )
    account_stored: int | None = Field(
        None, ge=0, description="Tasks that an account may have at all; one more is refused."
    )
    account_schedules: int = Field(1000, ge=0, le=1000, description="Schedules that an account may have.")
    account_limits: dict[_AccountId, AccountLimits] = Field(
        {},
        description="The same for some accounts and their runs, by account id (in the environment: as JSON).",
    )
    account_weights: dict[_AccountId, Annotated[int, Field(ge=1, le=100)]] = Field(
        {},
        description=(
            "How many waiting tasks of some accounts go in one round, by account id (in the environment: as JSON); "
            "of all others one."
        ),
    )
    breaker_deaths: int = Field(
        10,
        ge=0,
        le=1000,
        description="Runs of a function that are killed or end their process, until it is left alone; 0 for never.",
    )
    breaker_window_s: float = Field(
        60.0, gt=0, le=86_400, description="Seconds in which they must be for that."
    )
    breaker_pause_s: float = Field(
        60.0, gt=0, le=86_400, description="Seconds until one run of it is tried again."
    )
    child_max_runs: int | None = Field(
        None, ge=1, description="Runs after which a child is replaced by a new one."
    )
    child_max_memory_mb: int | None = Field(
        None, ge=16, description="Resident memory after a run above which a child is replaced, in MiB."
    )
    max_restarts: int = Field(
        20,
        ge=1,
        description="Deaths of a slot's children in a minute that are made good at once; then it rests 30 s.",
    )
    drain_s: float = Field(
        10.0, ge=0, le=3600, description="How long running tasks may go on when the service stops."
    )
    snapshot_interval_s: int = Field(3600, ge=1, description="Seconds between snapshots.")
    snapshot_asked_interval_s: int = Field(
        60, ge=0, description="Seconds after a snapshot that was asked for in which no other is taken."
    )
    snapshot_keep: int = Field(
        24, ge=1, description="Snapshots that are kept at most; of those asked for, three beside them."
    )
    snapshot_keep_days: int = Field(
        7, ge=1, description="Days for which they are kept; the newest three always are."
    )

    task_keep_days: int = Field(30, ge=0, description="Days for which finished tasks are kept; 0 for ever.")
    task_keep: int = Field(
        100_000,
        ge=0,
        description="Finished tasks of an account that are kept, the latest submitted; 0 for all.",
    )
    audit_keep_days: int = Field(365, ge=1, description="Days for which the audit is kept.")
    audit_keep: int = Field(
        1_000_000, ge=1, description="Entries of the audit of an account that are kept; the oldest go first."
    )

    def run_limits(self) -> Limits:
        """Of every run."""
        return _limits(self)

    def quotas(self) -> Callable[[str], Quota]:
        """What an account may have at once: what is said of it, and of all others what is said of any."""
        everybodys = _quota(self)
        own = {account: _quota(limits, everybodys) for account, limits in self.account_limits.items()}
        return lambda account_id: own.get(account_id, everybodys)

    def limits_of_accounts(self) -> dict[str, Limits]:
        """Of the runs of some accounts."""
        return {account: _limits(limits) for account, limits in self.account_limits.items()}

    @field_validator("account_limits", "account_weights", mode="before")
    @classmethod
    def _read_json(cls, value: object) -> object:
        try:
            return from_json(value) if isinstance(value, str) else value
        except ValueError as error:
            message = f"expected a JSON object by account id, got what is no JSON: {error}"
            raise ValueError(message) from error

    @field_validator("modules", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return (
            tuple(filter(None, (word.strip() for word in value.split(","))))
            if isinstance(value, str)
            else value
        )


def _quota(given: Settings | AccountLimits, default: Quota = NO_QUOTA) -> Quota:
    own = (given.account_running, given.account_starts_per_s, given.account_waiting, given.account_stored)
    return Quota(*(other if said is None else said for said, other in zip(own, default, strict=True)))


def _limits(given: Settings | AccountLimits) -> Limits:
    memory, file, log = given.run_memory_mb, given.run_file_mb, given.run_log_kb
    return Limits(
        timeout_s=given.run_timeout_s,
        memory_bytes=None if memory is None else memory * _MIB,
        cpu_s=given.run_cpu_s,
        processes=given.run_processes,
        open_files=given.run_open_files,
        file_bytes=None if file is None else file * _MIB,
        result_bytes=given.max_result_bytes,
        log_bytes=None if log is None else log * 1024,
    )


@dataclass(frozen=True, slots=True)
class Supervisor:
    """What systemd tells the processes that it starts.

    Attributes:
        notify_socket: Where it wants to hear how it goes.
        watchdog_s: How often it wants to hear that the process is alive.
    """

    notify_socket: str | None = None
    watchdog_s: float | None = None


def load_supervisor() -> Supervisor:
    """Read what systemd put into the environment, if it did."""
    watchdog = os.environ.get("WATCHDOG_USEC", "")
    # The time may be meant for a parent of ours.
    ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return Supervisor(
        os.environ.get("NOTIFY_SOCKET"), int(watchdog) / 1e6 if watchdog.isdecimal() and ours else None
    )


def load_settings(file: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Settings:
    """Read the settings: `overrides` (the command line) over the environment over the file over the defaults.

    Raises:
        CannotStart: A key is unknown, a value is wrong, or the file cannot be read; one sentence says which and where.
    """
    _check_environment()
    file = file or (Path(os.environ[CONFIG_VARIABLE]) if os.environ.get(CONFIG_VARIABLE) else None)
    values = {**(_read(file) if file else {}), **_environment(), **(overrides or {})}
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise CannotStart(_sentence(error, file)) from error


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return PREFIX + name.upper()


def described_settings() -> Iterator[tuple[str, str, str]]:
    """Every setting for people: its variable, its default as Markdown, and what it means."""
    for name, field in Settings.model_fields.items():
        yield variable(name), _MACHINE.get(name) or _shown(field.default), field.description or ""


def _shown(default: object) -> str:
    match default:
        case None:
            return "none"
        case bool():
            return f"`{str(default).lower()}`"
        case tuple():
            return ", ".join(f"`{word}`" for word in default)
        case SecretStr():
            return f"`{default.get_secret_value()}`"
        case _:
            return f"`{default}`"


def _check_environment() -> None:
    known = {variable(name) for name in Settings.model_fields} | {CONFIG_VARIABLE}
    for name in sorted(os.environ):
        if name.upper().startswith(PREFIX) and name not in known:
            raise CannotStart(f"unknown setting {name} in the environment{_suggestion(name.upper(), known)}")


def _environment() -> dict[str, str]:
    return {
        name: os.environ[variable(name)] for name in Settings.model_fields if variable(name) in os.environ
    }


def _read(file: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(file.read_text("utf-8"))
    except OSError as error:
        raise CannotStart(f"cannot read the settings in {file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CannotStart(f"expected {file} to be TOML, got: {error}") from error
    for name in values:
        if name not in Settings.model_fields:
            raise CannotStart(f"unknown setting {name!r} in {file}{_suggestion(name, Settings.model_fields)}")
    return values


def _suggestion(name: str, known: Mapping[str, Any] | set[str]) -> str:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _sentence(error: ValidationError, file: Path | None) -> str:
    """All that is wrong, each setting by the name of its variable."""
    found = (
        f"{variable(str(item['loc'][0]))}: {item['msg'].removeprefix('Value error, ')}"
        for item in error.errors()
        if item["loc"]
    )
    where = f" (environment, or {file})" if file else ""
    return f"wrong settings{where}: {'; '.join(found)}"
