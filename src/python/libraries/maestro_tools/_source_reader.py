"""Reads the `tools:` section of a workflow; every problem is reported at once."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from maestro_tools._errors import InvalidSource, Problem, did_you_mean
from maestro_tools._sources import Limits, McpCommand, McpUrl, OpenApi, Pinning, Source, Utcp

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_-]{0,63}")
_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VARIABLE = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_POLICIES = ("block", "warn", "allow")
_PINNING = ("pins", "lock", "on_drift")
_LONGEST_TIMEOUT_S = 24 * 3600.0
_SMALLEST_RESULT_BYTES = 1024
_MISSING: Any = object()


def parse_sources(value: object, *, static: bool = False) -> dict[str, Source]:
    """Read a whole `tools:` mapping, in its order. Raises InvalidSource with every problem.

    With `static`, strings that hold `${{` stand for values not known yet, and are taken for right.
    """
    read = _Reading(static)
    sources = {}
    for name, config in read.mapping(value, "").items():
        if not _NAME.fullmatch(name):
            read.problem(_at("", name), "a source's name has 1 to 64 letters, digits, _ or -, and begins with no digit")
        sources[name] = read.source(config, _at("", name))
    read.finish()
    return {name: source for name, source in sources.items() if source is not None}


def parse_source(name: str, value: object, *, static: bool = False) -> Source | None:
    """Read one source; None when it cannot be known yet (`static`). Raises InvalidSource."""
    read = _Reading(static)
    source = read.source(value, _at("", name))
    read.finish()
    return source


class _Reading:
    """Goes through plain data once and gathers what is wrong with it."""

    def __init__(self, static: bool) -> None:
        self._static = static
        self._problems: list[Problem] = []

    def problem(self, path: str, message: str) -> None:
        self._problems.append(Problem(path, message))

    def finish(self) -> None:
        if self._problems:
            raise InvalidSource(self._problems)

    def unknown_yet(self, value: object) -> bool:
        return self._static and isinstance(value, str) and "${{" in value

    def mapping(self, value: object, path: str) -> dict[str, Any]:
        """The value as a mapping with string keys; empty when it is none."""
        if value is _MISSING or self.unknown_yet(value):
            return {}
        if not isinstance(value, Mapping):
            self.problem(path, f"must be a mapping, not {_kind_of(value)}")
            return {}
        for key in value:
            if not isinstance(key, str):
                self.problem(path, f"its key {key!r} must be a string: quote it")
        return {key: item for key, item in value.items() if isinstance(key, str)}

    def source(self, value: object, path: str) -> Source | None:
        if self.unknown_yet(value):
            return None
        config = self.mapping(value, path)
        kinds: dict[str, Callable[[dict[str, Any], str], Source]] = {
            "mcp": self._mcp,
            "openapi": self._openapi,
            "utcp": self._utcp,
        }
        self._refuse_others(config, (*kinds, *_PINNING), path)
        given = [kind for kind in kinds if kind in config]
        if len(given) != 1:
            if isinstance(value, Mapping):
                self.problem(path, f"must hold exactly one of: {', '.join(kinds)}")
            return None
        kind = given[0]
        pinning = self._pinning(config, path)
        if self.unknown_yet(config[kind]):
            return None
        return replace(kinds[kind](self.mapping(config[kind], _at(path, kind)), _at(path, kind)), pinning=pinning)

    def _pinning(self, config: dict[str, Any], path: str) -> Pinning:
        pins = self._strings(config.get("pins", _MISSING), _at(path, "pins"))
        for name, digest in pins.items():
            if not self.unknown_yet(digest) and not _SHA256.fullmatch(digest):
                self.problem(_at(_at(path, "pins"), name), "must be a SHA-256: 64 digits 0-9, a-f")
        policy = config.get("on_drift", "block")
        if policy not in _POLICIES:
            if not self.unknown_yet(policy):
                self.problem(_at(path, "on_drift"), f"must be one of: {', '.join(_POLICIES)}")
            policy = "block"
        elif "on_drift" in config and not pins and "lock" not in config:
            self.problem(_at(path, "on_drift"), "says nothing without pins or a lock")
        lock = (
            self._string(config["lock"], _at(path, "lock"), "must be the path of a file") if "lock" in config else None
        )
        return Pinning(pins=pins, lock=lock, on_drift=policy)

    def _mcp(self, config: dict[str, Any], path: str) -> Source:
        limits = self._limits(config, path)
        pass_env = self._variables(config, path)
        if "url" in config and "command" not in config:
            self._refuse_others(config, ("url", "headers", "pass_env", *_LIMITS), path)
            return McpUrl(
                url=self._url(config["url"], _at(path, "url")),
                headers=self._headers(config.get("headers", _MISSING), _at(path, "headers")),
                pass_env=pass_env,
                limits=limits,
            )
        self._refuse_others(config, ("command", "env", "pass_env", "cwd", *_LIMITS), path)
        if "command" not in config:
            self.problem(path, "must say how to reach the server: command, or url")
        return McpCommand(
            command=self._command(config.get("command", _MISSING), _at(path, "command")),
            env=self._environment(config.get("env", _MISSING), _at(path, "env")),
            pass_env=pass_env,
            cwd=self._string(config["cwd"], _at(path, "cwd")) if "cwd" in config else None,
            limits=limits,
        )

    def _utcp(self, config: dict[str, Any], path: str) -> Source:
        known = ("manual", "variables", "pass_env", "call_timeout_s", "max_result_bytes")
        self._refuse_others(config, known, path)
        manual = config.get("manual", _MISSING)
        if manual is _MISSING:
            self.problem(path, "must have a manual: the path of a JSON file, or the manual itself")
        elif not isinstance(manual, Mapping):
            self._string(manual, _at(path, "manual"), "must be the path of a JSON file, or the manual itself")
        return Utcp(
            manual=manual if isinstance(manual, Mapping) else str(manual),
            variables=self._environment(config.get("variables", _MISSING), _at(path, "variables")),
            pass_env=self._variables(config, path),
            limits=self._limits(config, path),
        )

    def _openapi(self, config: dict[str, Any], path: str) -> Source:
        known = ("document", "base_url", "headers", "auth", "pass_env", "call_timeout_s", "max_result_bytes")
        self._refuse_others(config, known, path)
        document = config.get("document", _MISSING)
        if document is _MISSING:
            self.problem(path, "must have a document: the path of a file, an address, or the document itself")
        elif not isinstance(document, Mapping):
            self._string(document, _at(path, "document"), "must be the path of a file, an address, or the document")
            if isinstance(document, str) and "://" in document:
                self._url(document, _at(path, "document"))
        return OpenApi(
            document=document if isinstance(document, Mapping) else str(document),
            base_url=self._url(config["base_url"], _at(path, "base_url")) if "base_url" in config else None,
            headers=self._headers(config.get("headers", _MISSING), _at(path, "headers")),
            auth=self._strings(config.get("auth", _MISSING), _at(path, "auth")),
            pass_env=self._variables(config, path),
            limits=self._limits(config, path),
        )

    def _limits(self, config: dict[str, Any], path: str) -> Limits:
        given: dict[str, Any] = {}
        for key in ("startup_timeout_s", "call_timeout_s"):
            if key in config and not self.unknown_yet(config[key]):
                if problem := timeout_problem(config[key]):
                    self.problem(_at(path, key), problem)
                else:
                    given[key] = float(config[key])
        size = config.get("max_result_bytes", _MISSING)
        if size is not _MISSING and not self.unknown_yet(size):
            if not isinstance(size, int) or isinstance(size, bool) or size < _SMALLEST_RESULT_BYTES:
                self.problem(_at(path, "max_result_bytes"), f"must be an integer of at least {_SMALLEST_RESULT_BYTES}")
            else:
                given["max_result_bytes"] = size
        return Limits(**given)

    def _command(self, value: object, path: str) -> tuple[str, ...]:
        if value is _MISSING or self.unknown_yet(value):
            return ()
        if not isinstance(value, list | tuple) or not value:
            self.problem(path, "must be a list, as [uvx, mcp-server-git]: the program, then its arguments (no shell)")
            return ()
        words = tuple(self._string(word, _at(path, index), empty=index > 0) for index, word in enumerate(value))
        for index, word in enumerate(words):
            if "\0" in word:
                self.problem(_at(path, index), "must not hold a NUL character")
        return words

    def _string(self, value: object, path: str, otherwise: str = "must be a string", *, empty: bool = False) -> str:
        if isinstance(value, str) and (value or empty):
            return value
        hint = ": quote it" if isinstance(value, int | float) else ""
        self.problem(path, f"{otherwise}, not {_kind_of(value)}{hint}")
        return ""

    def _strings(self, value: object, path: str) -> dict[str, str]:
        items = self.mapping(value, path).items()
        return {key: self._string(item, _at(path, key), empty=True) for key, item in items}

    def _environment(self, value: object, path: str) -> dict[str, str]:
        strings = self._strings(value, path)
        for key, item in strings.items():
            if not _VARIABLE.fullmatch(key):
                self.problem(_at(path, key), "a variable's name has letters, digits and _, and begins with no digit")
            if "\0" in item:
                self.problem(_at(path, key), "must not hold a NUL character")
        return strings

    def _headers(self, value: object, path: str) -> dict[str, str]:
        strings = self._strings(value, path)
        for name, text in strings.items():
            if problem := header_problem(name, text):
                self.problem(_at(path, name), problem)
        return strings

    def _variables(self, config: dict[str, Any], path: str) -> tuple[str, ...]:
        """`pass_env`: names of variables of our own environment that may be handed on."""
        value, path = config.get("pass_env", ()), _at(path, "pass_env")
        if self.unknown_yet(value):
            return ()
        if not isinstance(value, list | tuple):
            self.problem(path, f"must be a list of names, not {_kind_of(value)}")
            return ()
        for index, name in enumerate(value):
            if not self.unknown_yet(name) and not (isinstance(name, str) and _VARIABLE.fullmatch(name)):
                self.problem(_at(path, index), "must be the name of an environment variable")
        return tuple(name for name in value if isinstance(name, str))

    def _url(self, value: object, path: str) -> str:
        url = self._string(value, path)
        if not url or self.unknown_yet(url):
            return url
        try:
            parts = urlsplit(url)
            host, _port = parts.hostname, parts.port
        except ValueError:
            parts, host = urlsplit(""), None
        if parts.scheme not in ("http", "https") or not host:
            self.problem(path, "must be an http:// or https:// address")
        elif parts.username or parts.password:
            self.problem(path, "must not hold a password: send it in headers, as ${NAME} with pass_env")
        return url

    def _refuse_others(self, config: dict[str, Any], known: Mapping[str, object] | tuple[str, ...], path: str) -> None:
        for key in config:
            if key not in known:
                self.problem(_at(path, key), f"is not known here{did_you_mean(key, known)}")


_LIMITS = ("startup_timeout_s", "call_timeout_s", "max_result_bytes")


def timeout_problem(value: object) -> str | None:
    """What is wrong with a time limit in seconds, or None."""
    right = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if right and 0 < float(value) <= _LONGEST_TIMEOUT_S:  # type: ignore[arg-type]  # `right` says that it is a number
        return None
    return f"must be a number of seconds above 0 and at most {_LONGEST_TIMEOUT_S:.0f}"


def header_problem(name: str, value: str) -> str | None:
    """What is wrong with an HTTP header, or None; says nothing of the value, which may be a secret."""
    if not _HEADER.fullmatch(name):
        return "is no name of a header"
    if not value.isascii() or not value.replace("\t", "").isprintable():
        return "must be one line of ASCII"
    return None


def _at(path: str, key: str | int) -> str:
    return f"{path}/{str(key).replace('~', '~0').replace('/', '~1')}"


def _kind_of(value: object) -> str:
    if value is None:
        return "null"
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list", dict: "a mapping"}
    if value == "":
        return "an empty string"
    return names.get(type(value), type(value).__name__)
