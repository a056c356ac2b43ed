"""Opaque tokens: minted, kept as digests, found again, revoked."""

from __future__ import annotations

import errno
import json
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from kazoo_tasks.gateway.identity import Identity
from kazoo_tasks.gateway.token_file import TokenFile, TokenRecord, add_token, mint_token
from kazoo_tasks.model.errors import CannotStart

ACCOUNT = "1a2b3c4d5e6f708192a3b4c5d6e7f809"
GOOD = {"sha256": "0" * 64, "account_id": ACCOUNT}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the file is going to be."""
    return tmp_path / "tokens.json"


def write(path: Path, *entries: Any) -> None:
    """Make it another file, as editors do: the same size within the same tick is seen too."""
    fresh = path.with_suffix(".new")
    fresh.write_text(json.dumps({"tokens": entries}))
    fresh.replace(path)


class TestFinding:
    """What a running gateway does with the file."""

    def test_a_minted_token_is_known(self, path: Path) -> None:
        token, record = mint_token(ACCOUNT)
        add_token(path, record)
        assert TokenFile(path).identify(token) == Identity(ACCOUNT)
        assert TokenFile(path).identify(token + "x") is None

    def test_an_admin(self, path: Path) -> None:
        token, record = mint_token(ACCOUNT, superduper_admin=True)
        add_token(path, record)
        assert TokenFile(path).identify(token) == Identity(ACCOUNT, superduper_admin=True)

    def test_expiry(self, path: Path) -> None:
        token, record = mint_token(ACCOUNT, expires_at=1000)
        add_token(path, record)
        assert TokenFile(path, now=lambda: 999.9).identify(token) is not None
        assert TokenFile(path, now=lambda: 1000.0).identify(token) is None

    def test_a_change_counts_at_once(self, path: Path) -> None:
        token, record = mint_token(ACCOUNT)
        write(path)
        tokens = TokenFile(path)
        assert tokens.identify(token) is None
        write(path, record.to_json())
        assert tokens.identify(token) == Identity(ACCOUNT)
        write(path)
        assert tokens.identify(token) is None

    @pytest.mark.parametrize("bad", ["{", '{"tokens": [7]}', None])
    def test_a_bad_version_leaves_the_old_and_is_told_once(self, path: Path, bad: str | None) -> None:
        token, record = mint_token(ACCOUNT)
        add_token(path, record)
        tokens = TokenFile(path)
        path.unlink() if bad is None else path.write_text(bad)
        with capture_logs() as lines:
            assert [tokens.identify(token) for _ in range(3)] == [Identity(ACCOUNT)] * 3
        assert [line["event"] for line in lines] == ["gateway.file_refused"]

    def test_any_text_is_a_question_that_can_be_asked(self, path: Path) -> None:
        write(path, GOOD)
        assert TokenFile(path).identify("tökèn \N{SNOWMAN}") is None


class TestBadFiles:
    """The message says what and where."""

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"sha256": "0" * 63}, r"tokens\[1\].sha256"),
            ({"sha256": "Z" * 64}, r"tokens\[1\].sha256"),
            ({"sha256": None}, r"tokens\[1\].sha256"),
            ({"account_id": ACCOUNT.upper()}, r"tokens\[1\].account_id"),
            ({"superduper_admin": 1}, r"tokens\[1\].superduper_admin"),
            ({"expires_at": "soon"}, r"tokens\[1\].expires_at"),
            ({"expires_at": True}, r"tokens\[1\].expires_at"),
            ({"note": 7}, r"tokens\[1\].note"),
        ],
    )
    def test_an_entry(self, path: Path, change: dict[str, Any], said: str) -> None:
        write(path, GOOD, GOOD | change)
        with pytest.raises(CannotStart, match=f"^cannot use {path}: expected {said} to be"):
            TokenFile(path)

    def test_an_entry_that_is_none(self, path: Path) -> None:
        write(path, "token")
        with pytest.raises(CannotStart, match=r"expected tokens\[0\] to be an object"):
            TokenFile(path)

    @pytest.mark.parametrize(
        ("text", "said"),
        [("[]", "tokens"), ('{"tokens": {}}', "tokens"), ('{\n"tokens": [,]}', "line 2"), ("", "JSON")],
    )
    def test_the_whole(self, path: Path, text: str, said: str) -> None:
        path.write_text(text)
        with pytest.raises(CannotStart, match=f"^cannot use {path}: .*{said}"):
            TokenFile(path)

    def test_missing(self, path: Path) -> None:
        with pytest.raises(CannotStart, match=f"^cannot read {path}: no such file or directory$"):
            TokenFile(path)


class TestAdding:
    """What the operator's command does with the file."""

    def test_others_stay_and_only_the_owner_reads(self, path: Path) -> None:
        first = TokenRecord("1" * 64, ACCOUNT, superduper_admin=True, expires_at=5, note="first")
        add_token(path, first)
        path.chmod(0o644)
        add_token(path, TokenRecord("2" * 64, ACCOUNT))
        assert json.loads(path.read_bytes()) == {
            "tokens": [
                {
                    "sha256": "1" * 64,
                    "account_id": ACCOUNT,
                    "superduper_admin": True,
                    "expires_at": 5,
                    "note": "first",
                },
                {"sha256": "2" * 64, "account_id": ACCOUNT},
            ]
        }
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert os.listdir(path.parent) == [path.name]  # noqa: PTH208 - names are what is compared

    def test_several_at_once(self, path: Path) -> None:
        records = [mint_token(ACCOUNT)[1] for _ in range(20)]
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda record: add_token(path, record), records))
        kept = {entry["sha256"] for entry in json.loads(path.read_bytes())["tokens"]}
        assert kept == {record.sha256 for record in records}

    def test_a_file_that_is_none_is_left_alone(self, path: Path) -> None:
        path.write_text("precious")
        with pytest.raises(CannotStart):
            add_token(path, TokenRecord("2" * 64, ACCOUNT))
        assert path.read_text() == "precious"

    def test_no_folder(self, path: Path) -> None:
        with pytest.raises(CannotStart, match=r"^cannot write .*: no such file or directory$"):
            add_token(path.parent / "nowhere" / "tokens.json", TokenRecord("2" * 64, ACCOUNT))

    def test_a_full_disk(self, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """The old file stays, and no half of a new one."""

        def full(_: int) -> None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        add_token(path, TokenRecord("1" * 64, ACCOUNT))
        before = path.read_bytes()
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(CannotStart, match=r"^cannot write .*: no space left on device$"):
            add_token(path, TokenRecord("2" * 64, ACCOUNT))
        assert path.read_bytes() == before
        assert os.listdir(path.parent) == [path.name]  # noqa: PTH208 - names are what is compared

    def test_no_two_tokens_are_alike_and_none_is_kept(self) -> None:
        (first, record), (second, _) = mint_token(ACCOUNT, note="n"), mint_token(ACCOUNT)
        assert first != second
        assert len(first) >= 40
        assert first not in json.dumps(record.to_json())
