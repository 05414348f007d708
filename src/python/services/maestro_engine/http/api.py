"""The FastAPI application class whose OpenAPI document is the published contract."""

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from maestro_engine.http.problems import MEDIA_TYPE, Problem
from maestro_engine.workflows.contract import EventView

CONTRACT_VERSION = "0.1.0"
"""Rises when the document changes: the minor number for additions, the major one for anything that breaks a client."""

_ABOUT = """\
Durable workflows over tools: start, follow, cancel.

Every error is an `application/problem+json` document (RFC 9457) with a stable `code`. Every answer carries
`X-Request-Id`; send one to find your request in the logs.

`WS /ws` sends stored events as they are. Send `{"type": "subscribe", "workflow_id": …, "from_seq": 1}` or
`{"type": "subscribe", "from_position": 0}` for all workflows, and `unsubscribe` likewise; messages whose type begins
with `feed.` (`subscribed`, `unsubscribed`, `ended`, `error`, `heartbeat`) are about the subscription itself. A socket
is closed with 4008 when it reads too slowly (the reason says where to go on), 4400 when a message is not JSON, 1001
when the engine stops and 1013 when too many readers are connected.
"""


class EngineApi(FastAPI):
    """FastAPI whose document names problems, and the event that streams and sockets carry."""

    def openapi(self) -> dict[str, Any]:
        """The contract; made once."""
        if self.openapi_schema is None:
            self.openapi_schema = self._document()
        return self.openapi_schema

    def _document(self) -> dict[str, Any]:
        document = get_openapi(title=self.title, version=self.version, description=_ABOUT, routes=self.routes)
        schemas = document.setdefault("components", {}).setdefault("schemas", {})
        _, extra = models_json_schema(
            [(Problem, "serialization"), (EventView, "serialization")], ref_template="#/components/schemas/{model}"
        )
        schemas.update(extra["$defs"])
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        anything_else = {
            "description": "Any other error.",
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for path in document["paths"].values():
            for operation in path.values():
                operation["responses"]["default"] = anything_else
        document["components"]["schemas"] = dict(sorted(schemas.items()))
        return document
