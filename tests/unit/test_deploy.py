"""What deploy/ says is true of the program that it deploys.

Touches only files of the repository; run by pytest.
"""

import json
import re
import tomllib
from collections.abc import Callable
from configparser import ConfigParser
from pathlib import Path

import pytest
import typer
from packaging.specifiers import SpecifierSet
from pydantic_core import PydanticUndefined

import container
from kazoo_tasks.assembly import service
from kazoo_tasks.bus import link, topology
from kazoo_tasks.bus.subscription import unique
from kazoo_tasks.cli.main import app
from kazoo_tasks.gateway.health import PATHS
from kazoo_tasks.gateway.settings import GatewaySettings
from kazoo_tasks.pool import supervisor
from kazoo_tasks.pool.settings import PoolSettings
from kazoo_tasks.settings import CONFIG_VARIABLE, Settings, load_settings, variable

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
UNITS = {path.stem: path for path in (DEPLOY / "systemd").glob("*.service")}
EXAMPLE = (DEPLOY / "kazoo-tasks.example.toml").read_text("utf-8")
COMPOSE = (DEPLOY / "compose.yaml").read_text("utf-8")
DOCKERFILE = (DEPLOY / "Dockerfile").read_text("utf-8")
README = (DEPLOY / "README.md").read_text("utf-8")

#: The `#` before a setting, and before the further lines of one that has several; prose has a space after it.
_COMMENTED = re.compile(r"^#(?=[a-z\]]| {4}\")", re.MULTILINE)


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting from the surroundings."""
    for name in [*map(variable, Settings.model_fields), CONFIG_VARIABLE]:
        monkeypatch.delenv(name, raising=False)


def commands() -> set[str]:
    """Every command of the console script."""
    return set(typer.main.get_command(app).commands)  # type: ignore[attr-defined]  # an app of several is a group


def uncommented() -> str:
    """The example with every setting in force."""
    return _COMMENTED.sub("", EXAMPLE)


def default_of(name: str) -> object:
    """What TOML would say for a setting's default; undefined where it depends on the machine."""
    default = Settings.model_fields[name].default
    if hasattr(default, "get_secret_value"):
        return default.get_secret_value()
    return (
        list(default)
        if isinstance(default, tuple)
        else str(default)
        if isinstance(default, Path)
        else default
    )


def unit(name: str) -> ConfigParser:
    """A unit file; systemd allows a key twice and knows no interpolation."""
    parser = ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # as configparser's documentation does it
    parser.read(UNITS[name], "utf-8")
    return parser


def seconds(text: str) -> float:
    """A duration that is written in seconds."""
    return float(text.removesuffix("s"))


def longest_stop_s() -> float:
    """What a clean stop of the service may take with the default settings, but for its snapshot."""
    settings, pool = Settings(), PoolSettings(1, ())
    return sum(
        (
            link.ANSWER_S,
            2 * service._SETTLE_S,
            settings.drain_s,
            pool.close_grace_s + supervisor._DYING_S,
            3 * link.CLOSE_S,
        )
    )


def service_of_compose(name: str) -> str:
    """The lines of one service; compared as text, since there is no YAML parser among our packages."""
    found = re.search(rf"^  {name}:\n((?:    .*\n|\n)+)", COMPOSE, re.MULTILINE)
    assert found, f"expected a service {name}"
    return found[1]


# --- the example of settings ----------------------------------------------------------------------------------------


def test_the_example_names_every_setting_in_the_order_of_the_model() -> None:
    """And nothing else."""
    assert list(tomllib.loads(uncommented())) == list(Settings.model_fields)


def test_the_example_as_it_is_sets_nothing() -> None:
    """Copied unread, it changes nothing."""
    assert tomllib.loads(EXAMPLE) == {}


def test_the_example_can_be_taken_whole(tmp_path: Path) -> None:
    """No line of it is refused."""
    file = tmp_path / "settings.toml"
    file.write_text(uncommented(), "utf-8")

    assert load_settings(file).queue == Settings().queue


@pytest.mark.parametrize("name", Settings.model_fields)
def test_the_example_tells_the_meaning_and_the_default(name: str) -> None:
    """Both as the model has them; where there is no value to show it says so in words."""
    found = re.search(rf"((?:^# .*\n)+)#{name} = ", EXAMPLE, re.MULTILINE)
    assert found, f"expected {name} to have a comment"
    told = " ".join(line.removeprefix("# ") for line in found[1].splitlines())
    default = default_of(name)

    assert told.startswith(Settings.model_fields[name].description or "?")
    if default is None or default is PydanticUndefined:
        assert re.search(r"Default: .+\.$", told)
    else:
        assert tomllib.loads(uncommented())[name] == default


# --- systemd --------------------------------------------------------------------------------------------------------


def test_there_is_a_unit_for_each_production_process() -> None:
    """By the names that the README says."""
    assert set(UNITS) == {"kazoo-tasks", "kazoo-tasks-gateway"}


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_starts_a_command_that_exists(name: str) -> None:
    """With the settings that the README tells to write."""
    section = unit(name)["Service"]
    program, command = section["ExecStart"].split()

    assert program == "/opt/kazoo-tasks/bin/kazoo-tasks"
    assert command in commands()
    assert section["Environment"] == f"{CONFIG_VARIABLE}=/etc/kazoo-tasks/kazoo-tasks.toml"


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_leaves_nothing_behind_and_does_not_give_up(name: str) -> None:
    """A broker that is away at the start ends it with 78, and it has to be there when the broker is."""
    whole = unit(name)

    assert (whole["Service"]["KillMode"], whole["Service"]["Restart"]) == ("control-group", "always")
    assert whole["Unit"]["StartLimitIntervalSec"] == "0"
    assert "RestartPreventExitStatus" not in whole["Service"]


def test_the_service_is_asked_alone_before_its_control_group_is() -> None:
    """Otherwise a stop would kill running tasks, and the fork server, instead of draining."""
    stop = unit("kazoo-tasks")["Service"]["ExecStop"]

    assert 'kill -TERM "$$MAINPID"' in stop
    assert 'tail --pid="$$MAINPID"' in stop


def test_no_supervisor_cuts_a_clean_stop_short() -> None:
    """Neither systemd nor Docker; 30 s are for the snapshot."""
    section = unit("kazoo-tasks")["Service"]
    grace = re.search(r"stop_grace_period: (\w+)", service_of_compose("service"))

    assert grace
    assert min(seconds(section["TimeoutStopSec"]), seconds(grace[1])) >= longest_stop_s() + 30


def test_a_gateway_may_end_its_requests() -> None:
    """And say farewell to the broker."""
    wanted = GatewaySettings().shutdown_s + 3 * link.CLOSE_S
    grace = re.search(r"stop_grace_period: (\w+)", service_of_compose("gateway"))

    assert grace
    assert min(seconds(unit("kazoo-tasks-gateway")["Service"]["TimeoutStopSec"]), seconds(grace[1])) > wanted


def test_a_child_out_of_memory_does_not_stop_the_unit() -> None:
    """The default of systemd would."""
    assert unit("kazoo-tasks")["Service"]["OOMPolicy"] == "continue"


# --- Docker ---------------------------------------------------------------------------------------------------------


def test_the_image_has_the_python_that_made_the_lock() -> None:
    """One that pyproject.toml allows."""
    found = re.search(r"^ARG PYTHON=(\S+)$", DOCKERFILE, re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    assert found
    assert SpecifierSet(project["requires-python"]).contains(found[1])
    assert f"by pip-compile with Python {found[1]}\n" in (DEPLOY / "requirements.txt").read_text("utf-8")
    assert f"Programming Language :: Python :: {found[1]}" in project["classifiers"]


def test_the_image_runs_a_command_that_exists() -> None:
    """As somebody with no rights."""
    entry, command = re.findall(r"^(?:ENTRYPOINT|CMD) (\[.*\])$", DOCKERFILE, re.MULTILINE)
    users = re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)

    assert json.loads(entry) == ["kazoo-tasks"]
    assert json.loads(command)[0] in commands()
    assert users == ["10001:10001"]


def test_the_image_is_made_of_what_the_builder_is_sent() -> None:
    """A source that .dockerignore leaves out fails only when somebody builds."""
    allowed = set(re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text("utf-8"), re.MULTILINE))
    copies = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)

    assert {source for line in copies for source in line.split()} == allowed
    assert [source for source in allowed if not (ROOT / source).exists()] == []


def test_variables_of_ours_are_settings() -> None:
    """A misspelt one would end the start of every container."""
    known = {*map(variable, Settings.model_fields), CONFIG_VARIABLE}
    in_image = re.findall(r"\b(KAZOO_TASKS_\w+)=", DOCKERFILE)
    in_compose = re.findall(r"^ +(KAZOO_TASKS_\w+): ", COMPOSE, re.MULTILINE)

    assert in_image
    assert in_compose
    assert {*in_image, *in_compose} - known == set()


@pytest.mark.parametrize(("name", "command"), [("service", "service"), ("gateway", "gateway")])
def test_compose_runs_commands_that_exist(name: str, command: str) -> None:
    """And waits for a broker that answers."""
    lines = service_of_compose(name)

    assert f"command: [{command}]" in lines
    assert command in commands()
    assert "rabbitmq: {condition: service_healthy}" in lines


def test_compose_has_the_broker_of_make_run_and_of_the_tests() -> None:
    """One version is tried, told and shipped; and it has a health that `up --wait` can wait for."""
    lines = service_of_compose("rabbitmq")

    assert f"    image: {container.IMAGE}\n" in lines
    assert "healthcheck:" in lines


def test_compose_publishes_on_loopback_at_the_ports_that_are_told() -> None:
    """Others can be named where these are taken."""
    published = re.findall(r'"([\d.]+):\$\{(\w+):-(\d+)\}:(\d+)"', COMPOSE)

    assert len(published) == COMPOSE.count("127.0.0.1:$") == 3
    assert {(address, default == inside) for address, _, default, inside in published} == {
        ("127.0.0.1", True)
    }
    assert [name for _, name, *_ in published if name not in COMPOSE.partition("\nname:")[0]] == []


@pytest.mark.parametrize(("name", "setting"), [("service", "health_port"), ("gateway", "http_port")])
def test_compose_asks_for_health_where_it_is_told(name: str, setting: str) -> None:
    """At a path and port that exist, not at those of an older release."""
    found = re.search(r"127\.0\.0\.1:(\d+)(/health/\w+)'", service_of_compose(name))

    assert found
    assert int(found[1]) == getattr(Settings(), setting)
    assert found[2] in PATHS


# --- the README -----------------------------------------------------------------------------------------------------


def test_the_readme_uses_commands_that_exist() -> None:
    """As the operator would type them."""
    used = set(re.findall(r"(?:as_tasks|exec service kazoo-tasks|run --rm service) ([a-z]+)", README))

    assert used
    assert used - commands() - {"token"} == set()


def test_the_events_to_watch_are_logged() -> None:
    """An alert on a name that nothing logs is silence."""
    watched = README.partition("**Watch in the log**")[2].partition("\n## ")[0]
    table = re.findall(r"^\| (`\w+\.\w+`.*?) \|", watched, re.MULTILINE)
    events = re.findall(r"`(\w+\.\w+)`", " ".join(table))
    source = "".join(path.read_text("utf-8") for path in (ROOT / "service").rglob("*.py"))

    assert events
    assert [event for event in events if f'"{event}"' not in source] == []


@pytest.fixture(name="may")
def _may() -> Callable[[int, str], bool]:
    """Whether the rights in the README allow something: 0 configure, 1 write, 2 read."""
    rights = re.findall(r"^ +'(\^\(.*\)\$)'", README, re.MULTILINE)
    assert len(rights) == 3
    return lambda right, name: re.search(rights[right], name) is not None


def test_the_rights_suffice(may: Callable[[int, str], bool]) -> None:
    """For the topology as the code has it; the broker refuses whatever is missing."""
    request, private = topology.RequestQueue().name, unique(Settings().node)
    configure = {
        *topology.EXCHANGES,
        request,
        topology.DEAD_LETTER_QUEUE,
        private,
        unique("kazoo-tasks-gateway@host"),
    }
    # Whoever makes a queue with dead letters has to be allowed to write where they go: the default exchange.
    write = {*topology.EXCHANGES, "amq.default", request, private}
    read = {topology.REQUEST_EXCHANGE, "targeted", request, private}

    assert [name for name in configure if not may(0, name)] == []
    assert [name for name in write if not may(1, name)] == []
    assert [name for name in read if not may(2, name)] == []


@pytest.mark.parametrize("name", ["callmgr", "tasks.other", "tasksXrequests", "kazoo-tasks@host", "x-tasks"])
def test_the_rights_do_not_more_than_suffice(may: Callable[[int, str], bool], name: str) -> None:
    """Others' exchanges and queues are out of reach."""
    assert not any(may(right, name) for right in range(3))
