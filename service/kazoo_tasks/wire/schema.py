"""JSON Schemas (2020-12) of everything that goes over the wire, written from the models that read and write it.

Pure; `kazoo-tasks schemas` writes them into `schemas/`, and the tests hold real messages against them.
"""

from __future__ import annotations

from typing import Annotated, Any, Final

import orjson
from pydantic import BaseModel, Field, create_model

from kazoo_tasks.wire.body import RestTask
from kazoo_tasks.wire.field import MAX_BULK
from kazoo_tasks.wire.promise import (
    AddReply,
    Advertise,
    AuditEntry,
    AuditReply,
    BreakerReply,
    ErrorEnvelope,
    ErrorReply,
    ListReply,
    LogReply,
    LookupReply,
    PoolReply,
    ReadReply,
    ReloadReply,
    RemoveReply,
    RetryReply,
    ScheduleListReply,
    ScheduleReply,
    SnapshotReply,
    StackReply,
    StartReply,
    StopReply,
    SuccessEnvelope,
    TaskEvent,
)
from kazoo_tasks.wire.promised_body import TaskBody
from kazoo_tasks.wire.reply import EVENTS
from kazoo_tasks.wire.request import REQUESTS

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
#: By the key of the request; a canary is not answered.
_REPLIES: Final[dict[str, type[BaseModel]]] = {
    "lookup": LookupReply,
    "add": AddReply,
    "list": ListReply,
    "read": ReadReply,
    "stack": StackReply,
    "log": LogReply,
    "audit": AuditReply,
    "pool": PoolReply,
    "start": StartReply,
    "retry": RetryReply,
    **dict.fromkeys(
        ("schedule_add", "schedule_read", "schedule_change", "schedule_run", "schedule_remove"), ScheduleReply
    ),
    "schedule_list": ScheduleListReply,
    "stop": StopReply,
    "remove": RemoveReply,
    "snapshot": SnapshotReply,
    "reload": ReloadReply,
    "breaker": BreakerReply,
}
RestPutBody: Final = create_model(
    "RestPutBody",
    __doc__="The body of `PUT …/tasks`: one task, or an array of them.",
    data=(RestTask | Annotated[list[RestTask], Field(max_length=MAX_BULK)], ...),
)


def schemas() -> dict[str, dict[str, Any]]:
    """Every schema, by the name of its file."""
    found: dict[str, dict[str, Any]] = {}
    for event, model in REQUESTS.items():
        found[f"kapi.tasks.{event}.json"] = _schema(model, event)
    for key, reply in _REPLIES.items():
        found[f"kapi.tasks.{key}_resp.json"] = _schema(reply, f"{key}_resp")
    for event in EVENTS.values():
        found[f"kapi.tasks.{event}.json"] = _schema(TaskEvent, event)
    found["kapi.tasks.error_resp.json"] = _schema(ErrorReply, "error_resp")
    found["kapi.nodes.advertise.json"] = _schema(Advertise, "advertise")
    for name, body in _REST.items():
        found[f"rest.{name}.json"] = _schema(body)
    return found


def schema_text(schema: dict[str, Any]) -> bytes:
    """A schema as it stands in its file."""
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE)


_REST: Final[dict[str, type[BaseModel]]] = {
    "task": TaskBody,
    "audit": AuditEntry,
    "tasks.put": RestPutBody,
    "success": SuccessEnvelope,
    "error": ErrorEnvelope,
}


def _schema(model: type[BaseModel], event: str | None = None) -> dict[str, Any]:
    schema = _without_null(model.model_json_schema(by_alias=True))
    if event is not None:
        name: dict[str, Any] = schema["properties"]["Event-Name"]
        schema["properties"]["Event-Name"] = {"const": event, "title": name["title"], "type": "string"}
    return {"$schema": DIALECT, **schema}


def _without_null(node: Any) -> Any:
    """What does not apply is absent on our wire, never null, so no schema may allow null for it."""
    if isinstance(node, list):
        return [_without_null(part) for part in node]
    if not isinstance(node, dict):
        return node
    kept = {key: _without_null(part) for key, part in node.items() if not (key == "default" and part is None)}
    variants = [variant for variant in kept.get("anyOf", ()) if variant != {"type": "null"}]
    if "anyOf" in kept and len(variants) == 1:
        del kept["anyOf"]
        return {**variants[0], **kept}
    return {**kept, "anyOf": variants} if variants else kept
