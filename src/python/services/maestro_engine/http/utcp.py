"""`GET /utcp`: the engine's manual, by which UTCP clients call its HTTP interface directly."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from maestro_core_api import problems
from maestro_core_auth import Authenticator, Principal
from maestro_core_auth.fastapi import FastAPIAuth
from maestro_engine.access.policy import READ, START
from maestro_engine.http.about import CONTRACT_VERSION
from maestro_engine.mcp.tools import TemplateTool, ToolSource, input_schema

UTCP_VERSION: Final = "1.0.1"
KEY_VARIABLE: Final = "MAESTRO_API_KEY"
"""The variable of UTCP clients that holds the API key, where callers sign in."""

_TAGS: Final = frozenset({"workflows", "control", "inbox"})
"""Which part of the contract is offered as tools."""
_JSON: Final = "application/json"
_STREAM: Final = "text/event-stream"
_BODY: Final = "body"
_MAX_DEPTH: Final = 12


class UtcpManual(BaseModel):
    """What there is to call, and how: https://www.utcp.io."""

    utcp_version: str = Field(description="Of the shape of this document.")
    manual_version: str = Field(description="That of the contract.")
    tools: list[dict[str, Any]] = Field(
        description="A tool for every template, and for every call below /api/workflows."
    )


def utcp_routes(
    source: ToolSource, authenticator: Authenticator, auth: FastAPIAuth, *, signs_in: bool, public_url: str | None
) -> APIRouter:
    """The one route; its tools are made of the contract of the application that it is part of."""
    routes = APIRouter(tags=["tools"])

    @routes.get("/utcp", responses=problems(401, 403), response_description="The manual, for `register_manual`.")
    async def read_utcp_manual(request: Request, caller: Annotated[Principal, auth.require(READ)]) -> UtcpManual:
        """Read the UTCP manual: what the caller may start, and the calls that go with it."""
        may_start = authenticator.policy.decide(caller, START).allowed
        made = Made(public_url or str(request.base_url), request.app.openapi(), signs_in=signs_in)
        started = sorted(await source.tools(), key=lambda tool: tool.name) if may_start else []
        tools = [*map(made.template, started), *made.operations(changing=may_start)]
        return UtcpManual(utcp_version=UTCP_VERSION, manual_version=CONTRACT_VERSION, tools=tools)

    return routes


class Made:
    """Makes tools of templates and of the operations of an OpenAPI document."""

    def __init__(self, base_url: str, contract: Mapping[str, Any], *, signs_in: bool) -> None:
        self._base_url = base_url.rstrip("/")
        self._contract = contract
        self._auth: dict[str, Any] = {}
        if signs_in:
            self._auth["auth"] = {
                "auth_type": "api_key",
                "api_key": f"Bearer ${KEY_VARIABLE}",
                "var_name": "Authorization",
                "location": "header",
            }

    def template(self, tool: TemplateTool) -> dict[str, Any]:
        """Starts one template; the argument `body` is the order."""
        order = {
            "type": "object",
            "properties": {
                "template": {"type": "string", "const": tool.name, "default": tool.name},
                "inputs": input_schema(tool.definition),
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
            },
            "required": ["template", "inputs"],
        }
        said = tool.definition.description or tool.definition.name
        return {
            "name": f"start_{tool.name}",
            "description": f"{said} (Starts the template {tool.name}; gives the id to read or follow it by.)",
            "tags": ["template"],
            "inputs": {"type": "object", "properties": {_BODY: order}, "required": [_BODY]},
            "outputs": self._resolved({"$ref": "#/components/schemas/Started"}),
            "tool_call_template": self._call("/api/workflows", "POST", body_field=_BODY),
        }

    def operations(self, *, changing: bool) -> Iterator[dict[str, Any]]:
        """A tool per operation on workflows, in the order of the contract; those that change something if wanted."""
        for path, methods in self._contract["paths"].items():
            for method, operation in methods.items():
                if method not in ("get", "post", "put", "delete", "patch") or not _TAGS & set(
                    operation.get("tags", ())
                ):
                    continue
                if method == "get" or changing:
                    yield from self._operation(path, method, operation)

    def _operation(self, path: str, method: str, operation: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        properties: dict[str, Any] = {}
        required: list[str] = []
        headers: list[str] = []
        for parameter in operation.get("parameters", ()):
            name = parameter["name"]
            properties[name] = self._resolved(parameter.get("schema", {}))
            if "description" in parameter:
                properties[name] = {**properties[name], "description": parameter["description"]}
            required += [name] if parameter.get("required") else []
            headers += [name] if parameter["in"] == "header" else []
        body = operation.get("requestBody", {})
        more: dict[str, Any] = {"header_fields": headers} if headers else {}
        if (schema := body.get("content", {}).get(_JSON, {}).get("schema")) is not None:
            properties[_BODY] = self._resolved(schema)
            required += [_BODY] if body.get("required") else []
            more["body_field"] = _BODY
        answers = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
        contents: Mapping[str, Any] = answers[0].get("content", {}) if answers else {}
        tool = {
            "name": operation["operationId"],
            "description": operation.get("description") or operation.get("summary", ""),
            "tags": operation.get("tags", []),
            "inputs": {"type": "object", "properties": properties, "required": required},
            "outputs": self._resolved(contents.get(_JSON, {}).get("schema", {})),
            "tool_call_template": self._call(path, method.upper(), **more),
        }
        yield tool
        if _STREAM in contents:
            yield {
                **tool,
                "name": f"{tool['name']}_until_the_end",
                "description": f"{tool['description']} This tool streams.",
                "outputs": {},
                "tool_call_template": {
                    **{k: v for k, v in self._call(path, "GET", **more).items() if k != "http_method"},
                    "call_template_type": "sse",
                    "headers": {"Accept": _STREAM},
                    "reconnect": False,
                },
            }

    def _call(self, path: str, method: str, **more: Any) -> dict[str, Any]:
        return {
            "call_template_type": "http",
            "url": self._base_url + path,
            "http_method": method,
            **more,
            **self._auth,
        }

    def _resolved(self, schema: Any, depth: int = 0) -> Any:
        """The schema with what it refers to in place; what refers to itself ends somewhere, as anything."""
        if depth > _MAX_DEPTH:
            return {}
        if isinstance(schema, Mapping):
            if isinstance(reference := schema.get("$ref"), str):
                name = reference.removeprefix("#/components/schemas/")
                return self._resolved(self._contract["components"]["schemas"].get(name, {}), depth + 1)
            return {key: self._resolved(value, depth + 1) for key, value in schema.items()}
        if isinstance(schema, list):
            return [self._resolved(value, depth + 1) for value in schema]
        return schema
