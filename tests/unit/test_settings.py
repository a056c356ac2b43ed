"""Settings: where they come from, and what is said when they are wrong."""

from pathlib import Path

import pytest

from kazoo_tasks.cli.document import settings_table
from kazoo_tasks.model.errors import CannotStart
from kazoo_tasks.settings import Settings, load_settings, variable


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting from the surroundings."""
    for name in [*map(variable, Settings.model_fields), "KAZOO_TASKS_CONFIG"]:
        monkeypatch.delenv(name, raising=False)


def a_file(directory: Path, text: str) -> Path:
    """A configuration file."""
    file = directory / "settings.toml"
    file.write_text(text)
    return file


def test_the_command_line_wins_over_the_environment_over_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over the default."""
    file = a_file(tmp_path, 'zone = "file"\nqueue = "file"\nnode = "file@x"\n')
    monkeypatch.setenv("KAZOO_TASKS_QUEUE", "environment")
    monkeypatch.setenv("KAZOO_TASKS_NODE", "environment@x")
    settings = load_settings(file, {"node": "line@x"})

    assert (settings.zone, settings.queue, settings.node, settings.http_port) == (
        "file",
        "environment",
        "line@x",
        8000,
    )


def test_the_file_can_be_named_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For services, which have no command line of their own."""
    monkeypatch.setenv("KAZOO_TASKS_CONFIG", str(a_file(tmp_path, "pool_size = 7")))

    assert load_settings().pool_size == 7


@pytest.mark.parametrize("text", ['modules = ["a.b", "c.d"]', 'modules = "a.b, c.d"'])
def test_modules_are_an_array_or_words_between_commas(tmp_path: Path, text: str) -> None:
    """The environment knows only text."""
    assert load_settings(a_file(tmp_path, text)).modules == ("a.b", "c.d")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("zonk = 1", "unknown setting 'zonk' in .*; did you mean zone?"),
        ("pool_size = 0", "KAZOO_TASKS_POOL_SIZE: .* greater than or equal to 1"),
        ('node = "nohost"', "KAZOO_TASKS_NODE: .*pattern"),
        ("zone = ", "to be TOML, got"),
        ('http_port = 70000\nprefetch = "x"', "HTTP_PORT: .*; KAZOO_TASKS_PREFETCH: "),
    ],
)
def test_a_wrong_file_is_told_in_one_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    """All that is wrong with it at once."""
    with pytest.raises(CannotStart, match=sentence):
        load_settings(a_file(tmp_path, text))


@pytest.mark.parametrize("name", ["KAZOO_TASKS_POOLSIZE", "kazoo_tasks_pool_size"])
def test_an_unknown_variable_of_ours_is_a_mistake(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt setting would silently be a default."""
    monkeypatch.setenv(name, "3")

    with pytest.raises(CannotStart, match=rf"{name} .*did you mean KAZOO_TASKS_POOL_SIZE"):
        load_settings()


def test_a_machine_whose_name_is_no_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Defaults that come from the machine are checked as well."""
    monkeypatch.setattr("socket.gethostname", lambda: "two words")

    with pytest.raises(CannotStart, match=r"KAZOO_TASKS_NODE: .*pattern"):
        load_settings()


@pytest.mark.parametrize("name", ["ACCOUNT_LIMITS", "ACCOUNT_WEIGHTS"])
@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ('{"abc": {}}', r"expected an account id \(32 lower-case hexadecimal digits\), got 'abc'"),
        ("nonsense", "expected a JSON object by account id, got what is no JSON"),
    ],
)
def test_what_is_said_of_no_account_is_told(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    """A slip in an id would leave the account without its limits, and nobody would know."""
    monkeypatch.setenv(f"KAZOO_TASKS_{name}", value)

    with pytest.raises(CannotStart, match=f"KAZOO_TASKS_{name}: {sentence}"):
        load_settings()


def test_a_missing_file_is_a_mistake(tmp_path: Path) -> None:
    """It was named on purpose."""
    with pytest.raises(CannotStart, match="cannot read the settings"):
        load_settings(tmp_path / "none.toml")


def test_secrets_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither in logs nor in errors."""
    monkeypatch.setenv("KAZOO_TASKS_AMQP_URL", "amqp://user:topsecret@host/")
    monkeypatch.setenv("KAZOO_TASKS_JWT_SECRET", "topsecret")

    assert "topsecret" not in repr(load_settings())


def test_the_readme_has_the_table_of_settings() -> None:
    """As the model says now; `make docs` brings it up to date."""
    readme = Path(__file__).parents[2] / "README.md"

    assert settings_table() in readme.read_text("utf-8")
