"""The workshop's own files say what they should.

Touches only files of the repository; run by pytest.
"""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ["requirements.txt", "requirements-dev.txt"]
INSTALLERS = ["deploy/dev/setup.sh", "deploy/Dockerfile", "deploy/README.md", "tests/bench/environment.py"]


@pytest.fixture(params=LOCKS)
def lock(request: pytest.FixtureRequest) -> str:
    """The text of one lock file."""
    return (ROOT / "deploy" / str(request.param)).read_text()


def test_a_lock_file_names_no_index_and_no_path(lock: str) -> None:
    """It installs from wherever pip is told to look, on any machine."""
    assert re.findall(r"\w+://|^\s*-{1,2}(?!hash)\w.*|(?<=\s)/\w+.*", lock, re.MULTILINE) == []


def test_a_lock_file_has_a_hash_for_every_package(lock: str) -> None:
    """What is installed is what was locked, byte for byte."""
    pinned = re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE)[1:]

    assert [block for block in pinned if "--hash=sha256:" not in block] == []


def test_the_lock_satisfies_what_pyproject_asks_for() -> None:
    """A changed bound without `make lock` is found here, not by the next fresh clone."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = map(Requirement, project["dependencies"] + project["optional-dependencies"]["dev"])
    versions = dict(re.findall(r"^(\S+)==(\S+)", (ROOT / "deploy" / LOCKS[1]).read_text(), re.MULTILINE))

    missed = [
        str(r) for r in wanted if not r.specifier.contains(versions.get(canonicalize_name(r.name), "0"))
    ]

    assert missed == []


def test_runtime_and_development_lock_the_same_versions() -> None:
    """What was tested is what is shipped."""
    runtime, development = (
        set(re.findall(r"^(\S+==\S+)", (ROOT / "deploy" / name).read_text(), re.MULTILINE)) for name in LOCKS
    )

    assert runtime - development == set()


@pytest.mark.parametrize("name", INSTALLERS)
def test_a_lock_is_installed_without_resolving(name: str) -> None:
    """A resolver may want a release that came out after the lock, and miss its hash."""
    installs = [line for line in (ROOT / name).read_text().splitlines() if "--require-hashes" in line]

    assert installs
    assert [line for line in installs if "--no-deps" not in line] == []


def test_the_fault_lab_runs_alone() -> None:
    """`--ignore` does nothing about a path of `testpaths`: the lab once ran beside others, and then again."""
    beside, alone = re.findall(r"-m pytest (.*--cov.*)", (ROOT / "Makefile").read_text())
    options = [option for option in beside.split() if option.startswith(("--ignore", "--deselect"))]
    collect = (
        sys.executable,
        "-m",
        "pytest",
        "--collect-only",
        "-q",
        *options,
        "tests/faults/test_checker.py",
    )
    collected = subprocess.run(collect, cwd=ROOT, check=False, capture_output=True, text=True).stdout

    assert "no tests collected" in collected
    assert alone.split()[0] == "tests/faults"


def test_help_tells_every_target_of_the_makefile() -> None:
    """A verb that help does not tell is a verb that nobody finds."""
    makefile = (ROOT / "Makefile").read_text()
    phony = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)[0].split()

    told = re.findall(r"^([a-z]+):.*## \S", makefile, re.MULTILINE)

    assert sorted(told) == sorted(phony)
