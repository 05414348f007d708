"""What a server asks a person during a call (elicitation), made fit to show; and the answer, made fit to send.

All of it comes from a server that may lie: a form is rebuilt from the few keywords that MCP allows, and one that asks
for a secret is refused, since its answer would stand in journals and logs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from maestro_tools._errors import SecretAsked, ServerMisbehaved
from maestro_tools._tools import canonical_json

_LONGEST_MESSAGE = 4000
_LONGEST_TITLE = 200
_LONGEST_URL = 2048
_MOST_FIELDS = 64
_MOST_CHOICES = 500
_LARGEST_FORM_BYTES = 16 * 1024

_TEXTS = ("title", "description")
_KEYWORDS: Mapping[str, tuple[str, ...]] = {
    "string": (*_TEXTS, "minLength", "maxLength", "format", "default"),
    "integer": (*_TEXTS, "minimum", "maximum", "default"),
    "number": (*_TEXTS, "minimum", "maximum", "default"),
    "boolean": (*_TEXTS, "default"),
    "array": (*_TEXTS, "minItems", "maxItems", "default"),
}
_FORMATS = ("email", "uri", "date", "date-time")
_SECRET = re.compile(
    r"\b(pass ?(word|phrase|code)s?|passwd|pwd|secrets?|credentials?|(api|private|access|secret) ?keys?"
    r"|(access|auth|bearer|refresh|api) ?tokens?|cvv|cvc|(card|social security) numbers?|ssn)\b"
)
_SECRET_WHOLE = ("token", "pin", "otp")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]")


@dataclass(frozen=True, slots=True)
class Question:
    """One question: a form to fill in, or an address to visit and come back from; `key` is the server's name for it."""

    key: str
    message: str
    form: Mapping[str, Any] | None = None
    url: str | None = None

    @property
    def digest(self) -> str:
        """Of all of it but the key, which a server may make anew each time: equal questions have the same."""
        return hashlib.sha256(canonical_json([self.message, self.form, self.url]).encode()).hexdigest()

    def as_json(self) -> dict[str, Any]:
        """For the memo of a step."""
        return {"key": self.key, "message": self.message, "form": self.form, "url": self.url}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Question:
        """What `as_json` gave."""
        return cls(data["key"], data["message"], data["form"], data["url"])


@dataclass(frozen=True, slots=True)
class Asked:
    """A call that came back with questions: it is made again with the answers and `state` as it is.

    When `is_error`, the server gives up unless every question is agreed to, and wants no answers with the next call.
    """

    questions: tuple[Question, ...]
    state: str | None = None
    is_error: bool = False


Ask = Callable[[Question], Awaitable[dict[str, Any]]]
"""Puts a question to a person; gives the answer as MCP has it: `{"action": …, "content": …}`."""


def read_question(label: str, key: str, asked: Any) -> Question:
    """A question from the params of `elicitation/create`, as they came over the wire.

    Raises SecretAsked or ServerMisbehaved, naming the place; `label` says whose tool it is.
    """
    if not isinstance(asked, Mapping) or not isinstance(asked.get("message"), str):
        raise ServerMisbehaved(f"{label} asks a question without a message")
    message = shown(asked["message"], _LONGEST_MESSAGE)
    if asked.get("mode") == "url":
        return Question(key, message, url=_url(label, asked.get("url")))
    if asked.get("mode") not in (None, "form"):
        raise ServerMisbehaved(f"{label} asks in a mode that there is none of: {shown(str(asked['mode']), 40)!r}")
    return Question(key, message, form=_form(label, asked.get("requestedSchema")))


def accepted(question: Question, data: Any) -> dict[str, Any]:
    """The answer of a person who agreed; a field left out takes its default. Raises ValueError saying why not."""
    if question.form is None:
        return {"action": "accept"}
    if data is not None and not isinstance(data, Mapping):
        raise ValueError("data must be an object with the fields of the form")
    fields = question.form["properties"]
    given = {name: value for name, value in (data or {}).items() if name in fields and value is not None}
    for name, field in fields.items():
        if name not in given and "default" in field:
            given[name] = field["default"]
    if problems := "; ".join(_problems(question.form, given)):
        raise ValueError(problems)
    return {"action": "accept", "content": given}


def shown(text: str, limit: int) -> str:
    """A server's text without characters that hide or reorder others, and never longer than a bound."""
    seen = _UNSEEN.sub("", text)
    return seen if len(seen) <= limit else f"{seen[:limit]}…"


def _url(label: str, url: Any) -> str:
    place = f"{label} sends a person to an address that"
    if not isinstance(url, str) or len(url) > _LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url:
        raise ServerMisbehaved(f"{place} is none, or longer than {_LONGEST_URL} characters")
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        raise ServerMisbehaved(f"{place} is none") from None
    if parts.scheme not in ("https", "http") or not host:
        raise ServerMisbehaved(f"{place} is neither https nor http")
    if parts.username is not None or parts.password is not None:
        raise ServerMisbehaved(f"{place} hides its host behind a user's name")
    return url


def _form(label: str, schema: Any) -> dict[str, Any]:
    fields = schema.get("properties") if isinstance(schema, Mapping) and schema.get("type") == "object" else None
    if not isinstance(fields, Mapping):
        raise ServerMisbehaved(f"{label} asks with a form that is no object with properties")
    if len(fields) > _MOST_FIELDS:
        raise ServerMisbehaved(f"{label} asks with a form of {len(fields)} fields, more than {_MOST_FIELDS}")
    form: dict[str, Any] = {"type": "object", "properties": {}}
    for name, field in fields.items():
        form["properties"][name] = _field(f"{label} asks with a form whose field {shown(name, 40)!r}", name, field)
    required = schema.get("required", [])
    if not isinstance(required, list) or not all(isinstance(name, str) and name in fields for name in required):
        raise ServerMisbehaved(f"{label} asks with a form that requires what it does not have")
    if required:
        form["required"] = list(dict.fromkeys(required))
    try:
        size_bytes = len(canonical_json(form).encode())
    except (TypeError, ValueError, RecursionError):
        raise ServerMisbehaved(f"{label} asks with a form that is no JSON") from None
    if size_bytes > _LARGEST_FORM_BYTES:
        raise ServerMisbehaved(f"{label} asks with a form larger than {_LARGEST_FORM_BYTES} bytes")
    return form


def _field(place: str, name: str, field: Any) -> dict[str, Any]:
    kind = field.get("type") if isinstance(field, Mapping) else None
    if not isinstance(kind, str) or kind not in _KEYWORDS:
        raise ServerMisbehaved(f"{place} is none of: {', '.join(_KEYWORDS)}")
    if field.get("format") == "password" or any(_is_secret(text) for text in (name, field.get("title"))):
        raise SecretAsked(f"{place} asks for a secret: give the server what it needs by its env, headers or pass_env")
    read = {"type": kind, **{key: field[key] for key in _KEYWORDS[kind] if key in field}}
    for key, (right, what) in _RIGHT.items():
        if key in read and not right(read[key]):
            raise ServerMisbehaved(f"{place} has a {key} that is not {what}")
    for least, most in (("minLength", "maxLength"), ("minItems", "maxItems"), ("minimum", "maximum")):
        if least in read and most in read and read[least] > read[most]:
            raise ServerMisbehaved(f"{place} has a {least} above its {most}")
    for key in _TEXTS:
        if key in read:
            read[key] = shown(read[key], _LONGEST_TITLE if key == "title" else _LONGEST_MESSAGE)
    if read.get("format") not in _FORMATS:
        # What nobody knows how to check is left to the server, as is a pattern, which could be slow on purpose.
        read.pop("format", None)
    if kind == "string":
        read.update(_choices(place, field))
    elif kind == "array":
        items = field.get("items")
        choices = _choices(place, items) if isinstance(items, Mapping) else {}
        if not choices:
            raise ServerMisbehaved(f"{place} is a list of anything: only a list of choices can be asked for")
        read["items"] = {"type": "string", **choices}
    if isinstance(read.get("default"), list) and len(set(map(repr, read["default"]))) < len(read["default"]):
        raise ServerMisbehaved(f"{place} has a default that makes a choice twice")
    if "default" in read and (problem := next(_problems(_alone(name, read), {name: read["default"]}), None)):
        raise ServerMisbehaved(f"{place} has a default that does not fit it: {problem}")
    return read


def _choices(place: str, field: Mapping[str, Any]) -> dict[str, Any]:
    """The choices of a field, as `enum`, or as `oneOf` where they have titles; empty when it is free."""
    given = field.get("oneOf", field.get("anyOf"))
    if given is None and "enum" in field:
        values, titles = field["enum"], field.get("enumNames")
        if isinstance(values, list) and isinstance(titles, list) and len(titles) == len(values):
            given = [{"const": value, "title": title} for value, title in zip(values, titles, strict=True)]
        else:
            given = [{"const": value} for value in values] if isinstance(values, list) else values
    if given is None:
        return {}
    if not isinstance(given, list) or not 0 < len(given) <= _MOST_CHOICES:
        raise ServerMisbehaved(f"{place} has no choices, or more than {_MOST_CHOICES}")
    unique: dict[str, Mapping[str, Any]] = {}
    for one in given:
        if not isinstance(one, Mapping) or not isinstance(one.get("const"), str):
            raise ServerMisbehaved(f"{place} has a choice that is no text")
        unique.setdefault(one["const"], one)
    if not any("title" in one for one in unique.values()):
        return {"enum": list(unique)}
    return {
        "oneOf": [
            {"const": one["const"], "title": shown(str(one.get("title", one["const"])), _LONGEST_TITLE)}
            for one in unique.values()
        ]
    }


def _is_secret(text: Any) -> bool:
    if not isinstance(text, str):
        return False
    words = " ".join(re.split(r"[\W_]+", _CAMEL.sub(" ", text))).strip().lower()
    return words in _SECRET_WHOLE or _SECRET.search(words) is not None


def _alone(name: str, field: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "object", "properties": {name: field}}


def _problems(form: Mapping[str, Any], data: Mapping[str, Any]) -> Iterator[str]:
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]  # it comes without types

    for error in Draft202012Validator(form).iter_errors(dict(data)):
        place = "".join(f"{part}: " for part in list(error.absolute_path)[:1])
        yield f"{place}{shown(error.message, 200)}"


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


_RIGHT: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "title": (_is_text, "a text"),
    "description": (_is_text, "a text"),
    "format": (_is_text, "a text"),
    "minLength": (_is_count, "a count"),
    "maxLength": (_is_count, "a count"),
    "minItems": (_is_count, "a count"),
    "maxItems": (_is_count, "a count"),
    "minimum": (_is_number, "a number"),
    "maximum": (_is_number, "a number"),
}
