"""The operations of an OpenAPI document as tools: one input schema for all that a request holds, and where it goes."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

from maestro_tools._openapi_document import BadDocument, Document
from maestro_tools._openapi_schemas import Schemas
from maestro_tools._schemas import Contract
from maestro_tools._tools import Tool, digest_of

_METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace")
_SAFE = ("get", "head", "options", "trace")
_MOST_OPERATIONS = 2000
_LONGEST_NAME = 128
_PLACEHOLDER = re.compile(r"\{([^{}/]+)\}")
_STYLES: Mapping[str, tuple[str, ...]] = {
    "path": ("simple",),
    "query": ("form", "spaceDelimited", "pipeDelimited", "deepObject"),
    "header": ("simple",),
    "cookie": ("form",),
}
# OpenAPI says that parameters of these names are not to be heeded: they are set by other means.
_UNHEEDED_HEADERS = ("accept", "content-type", "authorization")
_FORM = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Parameter:
    """Where one argument goes: `place` is path, query, header or cookie, `wire` its name there."""

    argument: str
    wire: str
    place: str
    style: str
    explode: bool
    is_json: bool


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation. `security` holds the ways to sign in: any of them will do, each with all of its schemes."""

    contract: Contract
    method: str
    server: str
    path: str
    parameters: tuple[Parameter, ...]
    body: str | None
    media: str | None
    security: tuple[tuple[str, ...], ...]
    outputs: Mapping[str, Contract] = field(default_factory=dict)

    @property
    def is_safe(self) -> bool:
        """Whether a second call does no harm by the rules of HTTP."""
        return self.method in _SAFE


@dataclass(frozen=True, slots=True)
class Operations:
    """What a document offers, by name in order; `broken` says of others why they cannot be called."""

    usable: Mapping[str, Operation]
    broken: Mapping[str, str]


def read_operations(source: str, document: Document, base_url: str | None) -> Operations:
    """Read every operation. Raises BadDocument when the document as a whole is of no use."""
    usable: dict[str, Operation] = {}
    broken: dict[str, str] = {}
    found = list(_found(document))
    if len(found) > _MOST_OPERATIONS:
        raise BadDocument(f"has {len(found)} operations, more than {_MOST_OPERATIONS}")
    names = _names(found)
    for name, (path, method, item, operation) in zip(names, found, strict=True):
        try:
            usable[name] = _Reader(source, document, base_url, path, method, item, operation).read(name)
        except BadDocument as error:
            broken[name] = f"{method.upper()} {path} {error}"
    return Operations(dict(sorted(usable.items())), broken)


def _found(document: Document) -> Iterator[tuple[str, str, Mapping[str, Any], Any]]:
    for path, item in document.data.get("paths", {}).items():
        whole = document.whole(item, f"paths/{path}")
        for method in _METHODS:
            if method in whole:
                yield str(path), method, whole, whole[method]


def _names(found: list[tuple[str, str, Mapping[str, Any], Any]]) -> list[str]:
    """The operationId where it names one operation alone, else method and path."""
    ids = [operation.get("operationId") if isinstance(operation, Mapping) else None for *_, operation in found]
    names: list[str] = []
    taken: set[str] = set()
    for own, (path, method, _item, _operation) in zip(ids, found, strict=True):
        wanted = own if isinstance(own, str) and own and ids.count(own) == 1 else f"{method}_{path}"
        short = re.sub(r"[^A-Za-z0-9.-]+", "_", wanted).strip("_")[:_LONGEST_NAME] or method
        name, number = short, 1
        while name in taken:
            number += 1
            name = f"{short}_{number}"
        taken.add(name)
        names.append(name)
    return names


class _Reader:
    """Reads one operation."""

    def __init__(
        self,
        source: str,
        document: Document,
        base_url: str | None,
        path: str,
        method: str,
        item: Mapping[str, Any],
        operation: Any,
    ) -> None:
        self._source = source
        self._document = document
        self._base_url = base_url
        self._path = path
        self._method = method
        self._item = item
        self._operation = document.whole(operation, "its description")
        self._schemas = Schemas(document)
        self._properties: dict[str, Any] = {}
        self._required: list[str] = []

    def read(self, name: str) -> Operation:
        server = self._server()
        parameters = tuple(self._parameter(one) for one in self._given())
        if missing := set(_PLACEHOLDER.findall(self._path)) - {one.wire for one in parameters if one.place == "path"}:
            raise BadDocument(f"does not describe the part {sorted(missing)[0]!r} of its path")
        body, media = self._body()
        inputs = {
            "type": "object",
            "properties": self._properties,
            **({"required": self._required} if self._required else {}),
            "additionalProperties": False,
        }
        definitions = self._schemas.definitions()
        security = self._security()
        how = [self._method, server, self._path, body, media, [list(one) for one in security]]
        places = [[one.argument, one.wire, one.place, one.style, one.explode, one.is_json] for one in parameters]
        outputs = self._outputs()
        tool = Tool(
            self._source,
            name,
            self._description(),
            {**inputs, **({"$defs": definitions} if definitions else {})},
            next((schema for status, schema in sorted(outputs.items()) if status.startswith("2")), None),
            {
                "readOnlyHint": self._method in _SAFE,
                "idempotentHint": self._method in (*_SAFE, "put", "delete"),
                "method": self._method.upper(),
                "path": self._path,
                "request_sha256": digest_of({"how": how, "places": places}),
            },
        )
        contracts = {
            status: Contract(Tool(self._source, name, "", {}, schema)) for status, schema in sorted(outputs.items())
        }
        return Operation(Contract(tool), self._method, server, self._path, parameters, body, media, security, contracts)

    def _description(self) -> str:
        texts = [self._operation.get(key) for key in ("summary", "description")]
        return "\n".join(dict.fromkeys(text.strip() for text in texts if isinstance(text, str) and text.strip()))

    def _server(self) -> str:
        if self._base_url is not None:
            return self._base_url.rstrip("/")
        for holder in (self._operation, self._item, self._document.data):
            servers = holder.get("servers")
            if isinstance(servers, list) and servers:
                server = self._document.whole(servers[0], "its server")
                url = str(server.get("url", ""))
                variables = server.get("variables")
                for name in _PLACEHOLDER.findall(url):
                    variable = variables.get(name) if isinstance(variables, Mapping) else None
                    if not isinstance(variable, Mapping) or not isinstance(variable.get("default"), str):
                        raise BadDocument(f"has a server whose part {name!r} has no default: give a base_url")
                    url = url.replace(f"{{{name}}}", variable["default"])
                return self._absolute(url)
        return self._absolute("/")

    def _absolute(self, url: str) -> str:
        joined = urljoin(self._document.url, url) if self._document.url else url
        if not joined.startswith(("http://", "https://")):
            raise BadDocument("has no server with an address: give a base_url")
        return joined.rstrip("/")

    def _given(self) -> list[Mapping[str, Any]]:
        """The parameters of the path and of the operation, of which the latter are the nearer."""
        found: dict[tuple[str, str], Mapping[str, Any]] = {}
        for holder in (self._item, self._operation):
            given = holder.get("parameters", [])
            if not isinstance(given, list):
                raise BadDocument("has parameters that are no list")
            for one in given:
                whole = self._document.whole(one, "a parameter")
                name, place = whole.get("name"), str(whole.get("in"))
                if not isinstance(name, str) or not name or place not in _STYLES:
                    raise BadDocument(f"has a parameter without a name, or not in one of: {', '.join(_STYLES)}")
                if place != "header" or name.lower() not in _UNHEEDED_HEADERS:
                    found[name, place] = whole
        return list(found.values())

    def _parameter(self, given: Mapping[str, Any]) -> Parameter:
        name, place = given["name"], given["in"]
        style = given.get("style", _STYLES[place][0])
        if style not in _STYLES[place]:
            raise BadDocument(f"has the parameter {name!r} in the style {style!r}, which is not supported in a {place}")
        content = given.get("content")
        is_json = isinstance(content, Mapping)
        if isinstance(content, Mapping):
            media = self._document.whole(content.get("application/json"), f"the JSON of parameter {name!r}")
            schema = media.get("schema", {})
        else:
            schema = given.get("schema", {})
        is_required = place == "path" or given.get("required") is True
        argument = self._argument(name if name not in self._properties else f"{place}_{name}", schema, is_required)
        if isinstance(given.get("description"), str) and isinstance(self._properties[argument], dict):
            self._properties[argument].setdefault("description", given["description"])
        explode = given.get("explode")
        return Parameter(argument, name, place, style, style == "form" if explode is None else explode is True, is_json)

    def _body(self) -> tuple[str | None, str | None]:
        """The argument that the body is taken from, and its media type."""
        if self._operation.get("requestBody") is None:
            return None, None
        body = self._document.whole(self._operation["requestBody"], "its body")
        content = body.get("content")
        types = [one for one in content if isinstance(one, str)] if isinstance(content, Mapping) else []
        media = next((one for one in types if is_json(one)), None) or next(
            (one for one in types if _bare(one) in (_FORM, "text/plain")), None
        )
        if media is None or not isinstance(content, Mapping):
            raise BadDocument(f"takes a body as {', '.join(types) or 'nothing'}, of which none is supported")
        schema = self._document.whole(content[media], "its body").get("schema", {})
        name = "body" if "body" not in self._properties else "request_body"
        return self._argument(name, schema, body.get("required") is True), media

    def _argument(self, name: str, schema: Any, is_required: bool) -> str:
        if name in self._properties:
            raise BadDocument(f"has two parameters that would both be the argument {name!r}")
        self._properties[name] = self._schemas.convert(schema)
        if is_required:
            self._required.append(name)
        return name

    def _outputs(self) -> dict[str, dict[str, Any]]:
        """The schemas of the JSON that is answered, by status: `200`, `2XX`, `default`."""
        responses = self._operation.get("responses", {})
        found: dict[str, dict[str, Any]] = {}
        for status, given in responses.items() if isinstance(responses, Mapping) else ():
            content = self._document.whole(given, f"the response {status}").get("content")
            for media, described in content.items() if isinstance(content, Mapping) else ():
                schema = described.get("schema") if isinstance(described, Mapping) else None
                if is_json(media) and isinstance(schema, Mapping):
                    schemas = Schemas(self._document)
                    made = schemas.convert(schema)
                    definitions = schemas.definitions()
                    found[str(status)] = {**made, **({"$defs": definitions} if definitions else {})}
        return found

    def _security(self) -> tuple[tuple[str, ...], ...]:
        given = self._operation.get("security", self._document.data.get("security", []))
        if not isinstance(given, list) or not all(isinstance(one, Mapping) for one in given):
            raise BadDocument("has a security that is no list of objects")
        return tuple(tuple(str(name) for name in one) for one in given)


def is_json(media: object) -> bool:
    """Whether a media type is one of JSON."""
    return isinstance(media, str) and (_bare(media) == "application/json" or _bare(media).endswith("+json"))


def _bare(media: str) -> str:
    return media.split(";")[0].strip().lower()
