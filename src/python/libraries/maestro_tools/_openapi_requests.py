"""From the arguments of a tool to the HTTP request of its operation, and what it is signed with."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from maestro_tools._errors import InvalidArguments, InvalidSource, Problem, did_you_mean
from maestro_tools._openapi_document import Document
from maestro_tools._openapi_operations import Operation, Parameter, is_json
from maestro_tools._tools import canonical_json

_SEPARATORS = {"spaceDelimited": " ", "pipeDelimited": "|"}


class Signing:
    """What a source knows to sign requests with: a credential for each security scheme that it names."""

    def __init__(self, name: str, document: Document, credentials: Mapping[str, str]) -> None:
        """Raises InvalidSource with every credential that fits no scheme of the document."""
        components = document.data.get("components")
        schemes = components.get("securitySchemes") if isinstance(components, Mapping) else None
        self._place = f"/{name}/openapi/auth"
        self._credentials = credentials
        self._schemes: dict[str, Mapping[str, Any]] = {}
        problems = []
        known = schemes if isinstance(schemes, Mapping) else {}
        for scheme in credentials:
            if scheme not in known:
                hint = did_you_mean(scheme, [str(one) for one in known])
                problems.append(Problem(f"{self._place}/{scheme}", f"is no security scheme of the document{hint}"))
                continue
            self._schemes[scheme] = document.whole(known[scheme], f"the security scheme {scheme}")
            if problem := _scheme_problem(self._schemes[scheme]):
                problems.append(Problem(f"{self._place}/{scheme}", problem))
        if problems:
            raise InvalidSource(problems)

    def sign(self, operation: Operation, request: dict[str, Any]) -> None:
        """Add the first way to sign in that every credential is there for. Raises InvalidSource when there is none."""
        if not operation.security:
            return
        way = next((one for one in operation.security if all(name in self._schemes for name in one)), None)
        if way is None:
            ways = " or ".join(" with ".join(one) for one in operation.security)
            raise InvalidSource([Problem(self._place, f"must hold what this operation is signed with: {ways}")])
        for name in way:
            scheme, credential = self._schemes[name], self._credentials[name]
            if scheme["type"] == "apiKey":
                wire, place = str(scheme["name"]), scheme["in"]
                if place == "query":
                    request["params"].append((wire, credential))
                else:
                    request["cookies" if place == "cookie" else "headers"][wire] = credential
                    request["auth_header_names"].add(wire)
                continue
            if str(scheme.get("scheme", "")).lower() == "basic":
                credential = "Basic " + base64.b64encode(credential.encode()).decode()
            else:
                credential = f"Bearer {credential}"
            request["headers"]["Authorization"] = credential


def build_request(
    label: str,
    operation: Operation,
    arguments: Mapping[str, Any],
    headers: Mapping[str, str],
    idempotency_key: str | None,
) -> dict[str, Any]:
    """The request, not signed yet. Raises InvalidArguments for a value that has no place where it should go."""
    path = operation.path
    params: list[tuple[str, str]] = []
    own: dict[str, str] = {}
    cookies: dict[str, str] = {}
    for one in operation.parameters:
        if one.argument not in arguments:
            continue
        value = arguments[one.argument]
        if one.place == "path":
            path = path.replace(f"{{{one.wire}}}", _segment(label, one, value))
        elif one.place == "query":
            params += _query(one, value)
        elif one.place == "header":
            own[one.wire] = _line(label, one, value)
        else:
            cookies[one.wire] = quote(_joined(one, value, ","), safe="")
    request: dict[str, Any] = {
        "method": operation.method.upper(),
        "url": operation.server + path,
        "context": "tool invocation",
        "params": params,
        "headers": {"Accept-Encoding": "identity", "Accept": "application/json, */*;q=0.5", **headers, **own},
        "cookies": cookies,
        "auth_header_names": {*headers},
    }
    if idempotency_key is not None and not operation.is_safe:
        given = {name.lower() for name in request["headers"]}
        if "idempotency-key" not in given:
            request["headers"]["Idempotency-Key"] = quote(idempotency_key, safe="!#$&'()*+,/:;=?@[]~")
    if operation.body is not None and operation.body in arguments:
        request["headers"]["Content-Type"] = operation.media
        request["data"] = _body(label, str(operation.media), arguments[operation.body])
    return request


def _scheme_problem(scheme: Mapping[str, Any]) -> str | None:
    kind, way = scheme.get("type"), str(scheme.get("scheme", "")).lower()
    if kind == "apiKey":
        right = isinstance(scheme.get("name"), str) and scheme.get("in") in ("query", "header", "cookie")
        return None if right else "belongs to a scheme without a name, or in no place that is known"
    if kind in ("oauth2", "openIdConnect") or (kind == "http" and way in ("bearer", "basic")):
        return None
    return f"belongs to a scheme that is not supported: {str(kind)[:40]} {way[:40]}".rstrip()


def _segment(label: str, parameter: Parameter, value: Any) -> str:
    text = _joined(parameter, value, ",")
    # A client or a server may take these two for steps up and down the path, however they are written.
    if text in ("", ".", ".."):
        raise InvalidArguments(f"argument {parameter.argument!r} of {label} cannot be {text!r}: it is part of a path")
    return quote(text, safe="")


def _line(label: str, parameter: Parameter, value: Any) -> str:
    text = _joined(parameter, value, ",")
    if not text.isascii() or not text.replace("\t", "").isprintable():
        raise InvalidArguments(f"argument {parameter.argument!r} of {label} must be one line of ASCII: it is a header")
    return text


def _query(parameter: Parameter, value: Any) -> Iterator[tuple[str, str]]:
    if value is None:
        return
    if parameter.is_json:
        yield parameter.wire, canonical_json(value)
    elif isinstance(value, Mapping) and parameter.style == "deepObject":
        for key, item in value.items():
            yield f"{parameter.wire}[{key}]", _text(item)
    elif isinstance(value, Mapping) and parameter.explode:
        for key, item in value.items():
            yield key, _text(item)
    elif isinstance(value, list) and parameter.explode:
        for item in value:
            yield parameter.wire, _text(item)
    else:
        yield parameter.wire, _joined(parameter, value, _SEPARATORS.get(parameter.style, ","))


def _joined(parameter: Parameter, value: Any, separator: str) -> str:
    if parameter.is_json:
        return canonical_json(value)
    if isinstance(value, list):
        return separator.join(_text(item) for item in value)
    if isinstance(value, Mapping):
        if parameter.explode:
            return separator.join(f"{key}={_text(item)}" for key, item in value.items())
        return separator.join(f"{key}{separator}{_text(item)}" for key, item in value.items())
    return _text(value)


def _body(label: str, media: str, value: Any) -> bytes:
    if is_json(media):
        return canonical_json(value).encode()
    if isinstance(value, Mapping):
        pairs = [
            (key, _text(item))
            for key, items in value.items()
            for item in (items if isinstance(items, list) else [items])
        ]
        return urlencode(pairs).encode()
    if not isinstance(value, str):
        raise InvalidArguments(f"the body of {label} must be text")
    return value.encode()


def _text(value: Any) -> str:
    """A string as it is, nothing as nothing, anything else as JSON."""
    if value is None:
        return ""
    return value if isinstance(value, str) else canonical_json(value)
