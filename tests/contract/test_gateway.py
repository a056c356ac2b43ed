"""The REST door as the contract prints it: every request, every error, byte for byte in keys and values."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import pytest

from kazoo_tasks.model.errors import BusUnavailable
from support.gateway import (
    ACCOUNT,
    ADMIN_ACCOUNT,
    ADMIN_TOKEN,
    OTHER_ACCOUNT,
    TASK,
    TASK_ID,
    TASKS,
    TOKEN,
    Door,
    a_task,
    open_door,
)

REQUEST_ID = {"X-Request-ID": "de1856ce11c0cf4ae04f206fcf6875ed"}
#: What a request that changes something says of who asks, beside the account.
WHO = {
    "Auth-Account-ID": ACCOUNT,
    "Client-IP": "127.0.0.1",
    "System-Log-ID": "de1856ce11c0cf4ae04f206fcf6875ed",
}
NEW = {"module": "timer", "function": "sleep", "arguments": [100000]}
RUNNING = a_task(started_at=63631324861, is_terminated=False)
FAILED = a_task(
    arguments=["bla"],
    function="sleep",
    module="timer",
    started_at=63631325127,
    is_terminated=True,
    ended_at=63631325127,
    ran_for=0,
    is_success=False,
    error="(<0.29082.4>) error: timeout_value\n[{timer,sleep,1}]",
)


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    """A gateway in front of a service that has not been told what to say yet."""
    async with open_door() as opened:
        yield opened


def success(data: Any) -> str:
    """The envelope of the specification's successes, keys in its order."""
    return json.dumps(
        {
            "auth_token": TOKEN,
            "data": data,
            "request_id": "de1856ce11c0cf4ae04f206fcf6875ed",
            "revision": "undefined",
            "status": "success",
        }
    )


def failure(code: str, message: str, data: Any, token: str = TOKEN) -> str:
    """The envelope of the specification's errors, keys in its order."""
    return json.dumps(
        {
            "auth_token": token,
            "data": data,
            "error": code,
            "message": message,
            "request_id": "de1856ce11c0cf4ae04f206fcf6875ed",
            "status": "error",
        }
    )


class TestSpecification:
    """Every example of the user's own specification."""

    @pytest.mark.parametrize(
        "case",
        [
            ("GET", TASKS, "list_req", [FAILED, a_task()], 200),
            ("GET", TASKS, "list_req", [], 200),
            ("PUT", TASKS, "add_req", a_task(), 201),
            ("GET", TASK, "read_req", FAILED, 200),
            ("PATCH", TASK, "start_req", RUNNING, 200),
            ("PATCH", f"{TASK}/stop", "stop_req", RUNNING, 200),
            ("DELETE", TASK, "remove_req", a_task(), 200),
        ],
    )
    async def test_successes(self, door: Door, case: tuple[str, str, str, Any, int]) -> None:
        method, path, event, reply, status = case
        door.service.replies(event, reply)
        body = json.dumps({"data": NEW}) if method == "PUT" else None
        heard = await door.ask(method, path, data=body, headers=REQUEST_ID)
        assert heard.status == status
        assert json.dumps(heard.json) == success(reply)

    @pytest.mark.parametrize(
        ("method", "path", "event"),
        [
            ("GET", TASK, "read_req"),
            ("PATCH", TASK, "start_req"),
            ("DELETE", TASK, "remove_req"),
            ("PATCH", f"{TASK}/stop", "stop_req"),
        ],
    )
    async def test_no_such_task(self, door: Door, method: str, path: str, event: str) -> None:
        """A space: the thing is unknown."""
        door.service.replies(event, "not_found")
        heard = await door.ask(method, path, headers=REQUEST_ID)
        assert (heard.status, json.dumps(heard.json)) == (404, failure("404", "bad identifier", [TASK_ID]))

    @pytest.mark.parametrize(
        ("method", "path", "refusal"),
        [
            ("PATCH", TASK, ("start_req", "already_started")),
            ("DELETE", TASK, ("remove_req", "task_running")),
            ("PATCH", f"{TASK}/stop", ("stop_req", "not_running")),
        ],
    )
    async def test_the_task_is_in_another_state(
        self, door: Door, method: str, path: str, refusal: tuple[str, str]
    ) -> None:
        """An underscore: the thing is known."""
        door.service.replies(*refusal)
        heard = await door.ask(method, path, headers=REQUEST_ID)
        data = {"cause": TASK_ID, "message": "bad identifier"}
        assert (heard.status, json.dumps(heard.json)) == (404, failure("404", "bad_identifier", data))

    async def test_unknown_module(self, door: Door) -> None:
        detail = {"index": 0, "module": "nope", "function": "f", "arity": 0}
        door.service.replies("add_req", "no_module", Error=detail)
        heard = await door.put({"module": "nope", "function": "f", "arguments": []}, headers=REQUEST_ID)
        assert (heard.status, json.dumps(heard.json)) == (404, failure("404", "bad identifier", ["nope"]))

    async def test_unknown_function(self, door: Door) -> None:
        detail = {"index": 0, "module": "timer", "function": "nap", "arity": 2}
        door.service.replies("add_req", "no_function", Error=detail)
        heard = await door.put(
            {"module": "timer", "function": "nap", "arguments": [1, 2]}, headers=REQUEST_ID
        )
        said = {"M:F/A": "timer:nap/2", "cause": "no such function", "message": "bad identifier"}
        assert (heard.status, json.dumps(heard.json)) == (404, failure("404", "bad_identifier", said))


class TestErrorTable:
    """Every other row of the contract's table of errors."""

    @pytest.mark.parametrize(
        ("answer", "status", "message", "data"),
        [
            ({"Reply": "quota_exceeded"}, 429, "too_many_requests", "too many requests"),
            ({"Reply": "datastore_fault"}, 503, "datastore_fault", "datastore fatal error"),
            ({"Reply": "msg_id_conflict"}, 409, "datastore_conflict", "conflicting documents"),
            (BusUnavailable(), 503, "datastore_unreachable", "datastore timeout"),
            ({"Reply": "surprise"}, 500, "unspecified_fault", "unspecified fault"),
            ({"Error-Message": "what?"}, 500, "unspecified_fault", "unspecified fault"),
            ({"Reply": 7}, 500, "unspecified_fault", "unspecified fault"),
            (ZeroDivisionError("secret"), 500, "unspecified_fault", "unspecified fault"),
        ],
    )
    async def test_what_the_service_answers(
        self, door: Door, answer: Any, status: int, message: str, data: str
    ) -> None:
        door.service.answers["add_req"] = answer
        heard = await door.put(NEW, headers=REQUEST_ID)
        assert (heard.status, json.dumps(heard.json)) == (
            status,
            failure(str(status), message, {"message": data}),
        )
        assert ("Retry-After" in heard.headers) is (status in (429, 503))

    async def test_arguments_that_do_not_fit_the_signature(self, door: Door) -> None:
        problems = {"arguments.0": {"type": {"message": "Value did not match type(s): string", "value": 1}}}
        door.service.replies("add_req", "bad_arguments", Error=problems)
        heard = await door.put(NEW, headers=REQUEST_ID)
        assert (heard.status, json.dumps(heard.json)) == (400, failure("400", "validation error", problems))

    @pytest.mark.parametrize(
        ("method", "path", "token", "status", "message", "data"),
        [
            ("GET", TASKS, None, 401, "invalid_credentials", {"message": "invalid credentials"}),
            ("GET", TASKS, "unknown", 401, "invalid_credentials", {"message": "invalid credentials"}),
            ("GET", "/v2/tasks", None, 401, "invalid_credentials", {"message": "invalid credentials"}),
            ("GET", TASKS.replace(ACCOUNT, OTHER_ACCOUNT), TOKEN, 403, "forbidden", {"message": "forbidden"}),
            ("GET", "/v2/nothing", TOKEN, 404, "not_found", {"message": "not found"}),
            ("GET", f"{TASK}/stop/more", TOKEN, 404, "not_found", {"message": "not found"}),
            ("POST", TASKS, TOKEN, 405, "invalid_method", {"message": "method not allowed"}),
            ("GET", f"{TASK}/stop", TOKEN, 405, "invalid_method", {"message": "method not allowed"}),
            (
                "GET",
                "/v2/accounts/1A/tasks",
                TOKEN,
                404,
                "bad identifier",
                {"message": "invalid account_id '1A'"},
            ),
            ("GET", f"{TASKS}/not-an-id", TOKEN, 404, "bad identifier", ["not-an-id"]),
        ],
    )
    async def test_what_the_gateway_decides(  # noqa: PLR0913, PLR0917 - the columns of the table
        self, door: Door, method: str, path: str, token: str | None, status: int, message: str, data: Any
    ) -> None:
        heard = await door.ask(method, path, token=token, headers=REQUEST_ID)
        expected = failure(str(status), message, data, token or "undefined")
        assert (heard.status, json.dumps(heard.json)) == (status, expected)
        assert heard.headers["Access-Control-Allow-Origin"] == "*"
        assert not door.service.calls

    async def test_a_wrong_method_is_told_the_right_ones(self, door: Door) -> None:
        heard = await door.ask("POST", TASK)
        assert heard.headers["Allow"] == "OPTIONS, HEAD, GET, PATCH, DELETE"

    async def test_account_ids_are_lower_case(self, door: Door) -> None:
        heard = await door.ask("GET", TASKS.replace(ACCOUNT, ACCOUNT.upper()))
        assert heard.json["data"] == {"message": f"invalid account_id '{ACCOUNT.upper()}'"}

    @pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
    async def test_no_json(self, door: Door, method: str) -> None:
        path = TASKS if method == "PUT" else TASK
        heard = await door.ask(method, path, data=b'{"data":', headers=REQUEST_ID)
        assert (heard.status, heard.json["message"]) == (400, "validation error")
        said = heard.json["data"]["json"]["invalid"]
        assert said["target"] == "body"
        assert "expected JSON" in said["message"]

    @pytest.mark.parametrize("chunked", [False, True])
    async def test_too_large(self, door: Door, *, chunked: bool) -> None:
        async def body() -> AsyncIterator[bytes]:
            for _ in range(81):
                yield b" " * 100_000

        heard = await door.ask(
            "PUT", TASKS, data=body() if chunked else BytesIO(b" " * 8_000_001), headers=REQUEST_ID
        )
        said = {"message": "Payload or Files must not be more than 8000000 bytes", "target": 8_000_000}
        expected = failure("413", "validation error", {"file": {"maxSize": said}})
        assert (heard.status, json.dumps(heard.json)) == (413, expected)


class TestOrderOfErrors:
    """Path, method, account id, token, account, body, content: what is wrong first wins."""

    @pytest.mark.parametrize(
        ("method", "path", "token", "body", "status", "message"),
        [
            ("POST", "/nothing", None, b"{", 404, "not_found"),
            ("POST", "/v2/accounts/x/tasks", None, b"", 405, "invalid_method"),
            ("PUT", "/v2/accounts/x/tasks", None, b"{}", 404, "bad identifier"),
            ("PUT", TASKS, None, b"{", 401, "invalid_credentials"),
            ("PUT", TASKS.replace(ACCOUNT, OTHER_ACCOUNT), TOKEN, b"{", 403, "forbidden"),
            ("PUT", TASKS, TOKEN, b"{", 400, "validation error"),
            ("PUT", TASKS, TOKEN, b"{}", 400, "validation error"),
        ],
    )
    async def test_the_first_wins(  # noqa: PLR0913, PLR0917 - the columns of the table
        self, door: Door, method: str, path: str, token: str | None, body: bytes, status: int, message: str
    ) -> None:
        heard = await door.ask(method, path, token=token, data=body)
        assert (heard.status, heard.json["message"]) == (status, message)


class TestValidation:
    """Bodies and parameters that say something wrong."""

    @pytest.mark.parametrize("body", [b"", b" \n", b"{}", b"[]", b"7", b"null", b'"data"'])
    async def test_data_is_missing(self, door: Door, body: bytes) -> None:
        heard = await door.ask("PUT", TASKS, data=body)
        said = {"message": "Field is required but missing", "value": "data"}
        assert (heard.status, heard.json["data"]) == (400, {"data": {"required": said}})

    @pytest.mark.parametrize("data", ["text", 7, None, True])
    async def test_data_is_something_else(self, door: Door, data: Any) -> None:
        heard = await door.put(data)
        message = "Value did not match type(s): object, array"
        said = {"message": message, "target": "object, array", "value": data}
        assert (heard.status, heard.json["data"]) == (400, {"data": {"type": said}})

    async def test_all_problems_of_a_body_at_once(self, door: Door) -> None:
        heard = await door.put({"module": "", "arguments": {}, "extra": 1})
        assert {path: list(rules) for path, rules in heard.json["data"].items()} == {
            "module": ["minLength"],
            "function": ["required"],
            "arguments": ["type"],
            "extra": ["additionalProperties"],
        }

    async def test_bulk_problems_have_the_place_of_the_task(self, door: Door) -> None:
        heard = await door.put([NEW, {**NEW, "module": 5}, {}])
        assert heard.status == 400
        assert set(heard.json["data"]) == {"1.module", "2.module", "2.function", "2.arguments"}

    async def test_too_many_at_once(self, door: Door) -> None:
        heard = await door.put([NEW] * 10_001)
        assert heard.json["data"]["data"]["maxItems"]["message"] == "The list is more than 10000 items"

    @pytest.mark.parametrize("times", [None, 50])
    async def test_too_many_unknown_keys(self, door: Door, times: int | None) -> None:
        """They are counted, not named."""
        cluttered = {**NEW, **{f"k{number}": 1 for number in range(110)}}
        heard = await door.put([cluttered] * times if times else cluttered)
        assert list(heard.json["data"]) == ["data"]
        assert heard.json["data"]["data"]["maxProperties"]["target"] == 100

    async def test_starts_of_one_request_must_agree(self, door: Door) -> None:
        heard = await door.put([{**NEW, "start": True}, NEW])
        assert list(heard.json["data"]) == ["1.start"]

    @pytest.mark.parametrize(
        ("query", "rules"),
        [
            ("page_size=abc", {"page_size": "type"}),
            ("page_size=", {"page_size": "type"}),
            ("page_size=1e3", {"page_size": "type"}),
            ("page_size=0", {"page_size": "minimum"}),
            ("page_size=-1", {"page_size": "minimum"}),
            ("page_size=10001", {"page_size": "maximum"}),
            ("status=asleep", {"status": "enum"}),
            ("start_key=", {"start_key": "minLength"}),
            (f"start_key={'k' * 256}", {"start_key": "maxLength"}),
            ("created_from=yesterday", {"created_from": "type"}),
            ("created_to=-5", {"created_to": "minimum"}),
            ("module=", {"module": "minLength"}),
            (f"function={'f' * 65}", {"function": "maxLength"}),
            ("page_size=0&status=asleep", {"page_size": "minimum", "status": "enum"}),
        ],
    )
    async def test_bad_parameters(self, door: Door, query: str, rules: dict[str, str]) -> None:
        heard = await door.ask("GET", f"{TASKS}?{query}")
        assert (heard.status, heard.json["message"]) == (400, "validation error")
        assert {path: "".join(said) for path, said in heard.json["data"].items()} == rules

    async def test_a_start_key_that_no_list_gave(self, door: Door) -> None:
        door.service.replies("list_req", "bad_start_key")
        heard = await door.ask("GET", f"{TASKS}?start_key=junk")
        assert (heard.status, heard.json["data"]["start_key"]["invalid"]["value"]) == (400, "junk")

    @pytest.mark.parametrize("key", ["", "k" * 256, "schlüssel", "a\tb"])
    async def test_bad_idempotency_keys(self, door: Door, key: str) -> None:
        heard = await door.put(NEW, headers={"Idempotency-Key": key})
        assert (heard.status, list(heard.json["data"])) == (400, ["Idempotency-Key"])


class TestAsking:
    """What goes over the bus."""

    async def test_adding(self, door: Door) -> None:
        door.service.replies("add_req", a_task())
        await door.ask(
            "PUT",
            TASKS.replace(ACCOUNT, OTHER_ACCOUNT),
            token=ADMIN_TOKEN,
            data=json.dumps({"data": NEW}),
            headers=REQUEST_ID,
        )
        (call,) = door.service.calls
        assert (call.event, call.msg_id) == ("add_req", None)
        assert call.fields == {
            "Account-ID": OTHER_ACCOUNT,
            **WHO,
            "Auth-Account-ID": ADMIN_ACCOUNT,
            "Module": "timer",
            "Function": "sleep",
            "Arguments": [100000],
        }

    async def test_adding_many_and_starting_them(self, door: Door) -> None:
        door.service.replies("add_req", [a_task(), a_task()])
        heard = await door.put([{**NEW, "start": True}] * 2)
        assert (heard.status, len(heard.json["data"])) == (201, 2)
        named = {"Module": "timer", "Function": "sleep", "Arguments": [100000]}
        assert door.service.calls[0].fields["Tasks"] == [named] * 2
        assert door.service.calls[0].fields["Start"] is True

    async def test_listing(self, door: Door) -> None:
        door.service.replies("list_req", [])
        await door.ask(
            "GET",
            f"{TASKS}?page_size=9&page_size=50&start_key=k&status=pending&module=m&function=f"
            "&created_from=0&created_to=63631324841&unknown=1",
        )
        assert door.service.calls[0].fields == {
            "Account-ID": ACCOUNT,
            "Page-Size": 50,
            "Start-Key": "k",
            "Status": "pending",
            "Module": "m",
            "Function": "f",
            "Created-From": 0,
            "Created-To": 63631324841,
        }

    @pytest.mark.parametrize(
        ("method", "path", "event"),
        [
            ("GET", TASK, "read_req"),
            ("PATCH", TASK, "start_req"),
            ("DELETE", TASK, "remove_req"),
            ("PATCH", f"{TASK}/stop", "stop_req"),
        ],
    )
    async def test_about_one_task(self, door: Door, method: str, path: str, event: str) -> None:
        door.service.replies(event, a_task())
        await door.ask(method, path, headers=REQUEST_ID)
        (call,) = door.service.calls
        who = {} if method == "GET" else WHO
        assert (call.event, call.fields) == (event, {"Account-ID": ACCOUNT, "Task-ID": TASK_ID, **who})

    async def test_an_admin_is_told_by_the_account_of_the_token(self, door: Door) -> None:
        door.service.replies("stop_req", a_task())
        await door.ask("PATCH", f"{TASK}/stop", token=ADMIN_TOKEN)
        (call,) = door.service.calls
        assert (call.fields["Account-ID"], call.fields["Auth-Account-ID"]) == (ACCOUNT, ADMIN_ACCOUNT)

    @pytest.mark.parametrize(
        ("path", "fields"),
        [
            (f"{TASKS}/audit", {}),
            (f"{TASKS}/audit?page_size=50&start_key=k&status=x", {"Page-Size": 50, "Start-Key": "k"}),
            (f"{TASK}/audit?page_size=1", {"Page-Size": 1, "Task-ID": TASK_ID}),
        ],
    )
    async def test_the_audit(self, door: Door, path: str, fields: dict[str, object]) -> None:
        door.service.answers["audit_req"] = {
            "Reply": [{"verb": "add"}],
            "Start-Key": "s",
            "Next-Start-Key": "n",
        }
        heard = await door.ask("GET", path)
        (call,) = door.service.calls
        assert (call.event, call.fields) == ("audit_req", {"Account-ID": ACCOUNT, **fields})
        assert (heard.json["data"], heard.json["next_start_key"]) == ([{"verb": "add"}], "n")

    async def test_the_audit_of_what_is_no_task_is_not_asked_for(self, door: Door) -> None:
        heard = await door.ask("GET", f"{TASKS}/{'ab' * 16}/audit")
        assert (heard.status, heard.json["data"], door.service.calls) == (404, ["ab" * 16], [])

    async def test_the_catalogue_is_for_every_token(self, door: Door) -> None:
        help_of = {"timer": {"sleep": {"arity": 1}}}
        door.service.answers["lookup_req"] = {"Help": help_of}
        heard = await door.ask("GET", "/v2/tasks", headers=REQUEST_ID)
        assert (heard.status, json.dumps(heard.json)) == (200, success(help_of))

    async def test_a_catalogue_without_help_is_a_bug(self, door: Door) -> None:
        door.service.answers["lookup_req"] = {"Event-Category": "error"}
        assert (await door.ask("GET", "/v2/tasks")).status == 500

    async def test_an_idempotency_key_always_has_the_same_msg_id(self, door: Door) -> None:
        door.service.replies("add_req", a_task())
        for key, token, account in (
            ("k", TOKEN, ACCOUNT),
            ("k", ADMIN_TOKEN, ACCOUNT),
            ("l", TOKEN, ACCOUNT),
            ("k", ADMIN_TOKEN, OTHER_ACCOUNT),
        ):
            headers = {"Idempotency-Key": key}
            body = json.dumps({"data": NEW})
            await door.ask("PUT", TASKS.replace(ACCOUNT, account), token=token, data=body, headers=headers)
        first, same, other_key, other_account = (call.msg_id for call in door.service.calls)
        assert first == same
        assert first is not None
        assert len({first, other_key, other_account}) == 3
        assert len(first) == 32


class TestPaging:
    """A list that has more than one page says so, and one that has not looks as specified."""

    async def test_the_first_page(self, door: Door) -> None:
        door.service.replies("list_req", [a_task()], Next_Start_Key="next", Start_Key="first")
        heard = await door.ask("GET", f"{TASKS}?page_size=1", headers=REQUEST_ID)
        assert list(heard.json) == [
            "auth_token",
            "data",
            "next_start_key",
            "page_size",
            "request_id",
            "revision",
            "start_key",
            "status",
        ]
        assert (heard.json["next_start_key"], heard.json["page_size"]) == ("next", 1)
        assert heard.json["start_key"] == "first"

    async def test_the_last_page(self, door: Door) -> None:
        door.service.replies("list_req", [a_task(), a_task()], Start_Key="next")
        heard = await door.ask("GET", f"{TASKS}?start_key=next")
        assert "next_start_key" not in heard.json
        assert (heard.json["start_key"], heard.json["page_size"]) == ("next", 2)

    async def test_the_only_page(self, door: Door) -> None:
        door.service.replies("list_req", [a_task()], Start_Key="first")
        heard = await door.ask("GET", f"{TASKS}?page_size=1", headers=REQUEST_ID)
        assert json.dumps(heard.json) == success([a_task()])
