"""What the release before took in and nobody can write again: shown as such at every door, and removed."""

from __future__ import annotations

from pathlib import Path

from support.acceptance import ACCOUNT
from support.broker import SessionBroker
from support.older_journal import BROKEN, ENDED, break_journal, rebuilt
from support.security_house import a_house


def test_it_is_listed_shown_and_removed(broker: SessionBroker, tmp_path: Path) -> None:
    """Over REST and AMQP, each alone and with all others; what waited has ended."""
    (tmp_path / "data").mkdir()
    rebuilt(tmp_path / "data" / "journal.sqlite3")
    break_journal(tmp_path / "data" / "journal.sqlite3")
    with (
        broker.fresh_vhost() as url,
        a_house(url, tmp_path, modules="kazoo_tasks.modules.timer") as house,
        house.stranger() as stranger,
    ):
        ids = {row.id for row in BROKEN.values()}
        listed = house.ask("GET")
        assert listed.status == 200
        assert ids <= {task["id"] for task in listed.data}
        assert ids <= {task["id"] for task in stranger.ask("list_req", Account_ID=ACCOUNT).json["Reply"]}
        for name, row in BROKEN.items():
            answer = house.ask("GET", f"/{row.id}")
            assert answer.status == 200, name
            read = stranger.ask("read_req", Account_ID=ACCOUNT, Task_ID=row.id).json["Reply"]
            assert read["arguments"] == answer.data["arguments"]
            if name in ENDED:
                assert "such as a release before took in" in answer.data["error"]
                assert house.ask("DELETE", f"/{row.id}").status == 200
