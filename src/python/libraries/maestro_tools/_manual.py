"""A UTCP manual, read and checked whole before the first call: its tools, and how each is called."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from utcp.data.auth_implementations import (  # type: ignore[import-untyped]  # utcp has no types of its own
    ApiKeyAuthSerializer,
    BasicAuthSerializer,
    OAuth2AuthSerializer,
)
from utcp.plugins.discovery import register_auth  # type: ignore[import-untyped]  # likewise
from utcp_cli import CliCallTemplate  # type: ignore[import-untyped]  # likewise
from utcp_file import FileCallTemplate  # type: ignore[import-untyped]  # likewise
from utcp_http import HttpCallTemplate  # type: ignore[import-untyped]  # likewise

from maestro_tools._environment import SAFE_VARIABLES, passed, substitute
from maestro_tools._errors import InvalidSource, Problem, did_you_mean
from maestro_tools._inside import inside
from maestro_tools._schemas import Contract
from maestro_tools._sources import Utcp
from maestro_tools._tools import Tool, canonical_json

_LARGEST_MANUAL_BYTES = 4 * 1024 * 1024
_TEMPLATES: dict[str, type[BaseModel]] = {
    "cli": CliCallTemplate,
    "file": FileCallTemplate,
    "http": HttpCallTemplate,
}
_JSON_NAMES = {"str": "a string", "dict": "an object", "list": "a list"}

# What utcp's plugin loader would do, without loading every other plugin that happens to be installed.
register_auth("api_key", ApiKeyAuthSerializer())
register_auth("basic", BasicAuthSerializer())
register_auth("oauth2", OAuth2AuthSerializer())


@dataclass(frozen=True, slots=True)
class Entry:
    """One tool of a manual, and the template of its call with the variables put in."""

    contract: Contract
    template: Any


def load_manual(name: str, source: Utcp, base_dir: Path) -> dict[str, Entry]:
    """Read the manual of a source; tools by name in order. Raises InvalidSource with every problem."""
    place = f"/{name}/utcp/manual"
    document = source.manual
    if isinstance(document, str):
        document = _read(document, base_dir, place)
    tools = document.get("tools")
    if not isinstance(tools, list):
        raise InvalidSource([Problem(place, "is no UTCP manual: it must hold a list named tools")])
    reading = _Reading(name, source, base_dir)
    entries: dict[str, Entry] = {}
    for index, item in enumerate(tools):
        entry = reading.entry(item, f"{place}/tools/{index}")
        if entry is not None:
            if entry.contract.tool.name in entries:
                reading.problems.append(Problem(f"{place}/tools/{index}/name", "is the name of another tool too"))
            entries[entry.contract.tool.name] = entry
    if reading.problems:
        raise InvalidSource(reading.problems)
    return dict(sorted(entries.items()))


def _read(path: str, base_dir: Path, place: str) -> Mapping[str, Any]:
    try:
        with inside(base_dir, path).open("rb") as file:
            data = file.read(_LARGEST_MANUAL_BYTES + 1)
        if len(data) > _LARGEST_MANUAL_BYTES:
            raise ValueError(f"{path!r} is larger than {_LARGEST_MANUAL_BYTES} bytes")
        document = json.loads(data)
    except json.JSONDecodeError as error:
        message = f"{path!r} is not JSON: line {error.lineno} column {error.colno}: {error.msg}"
        raise InvalidSource([Problem(place, message)]) from error
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidSource([Problem(place, str(error) or type(error).__name__)]) from error
    if not isinstance(document, dict):
        raise InvalidSource([Problem(place, f"{path!r} is no UTCP manual: it must be a JSON object")])
    return document


class _Reading:
    """Goes through the tools of one manual and gathers what is wrong with it."""

    def __init__(self, name: str, source: Utcp, base_dir: Path) -> None:
        self.problems: list[Problem] = []
        self._name = name
        self._may_pass = {*SAFE_VARIABLES, *source.pass_env}
        self._variables = {**passed(source.pass_env), **source.variables}
        self._base_dir = base_dir

    def entry(self, item: Any, place: str) -> Entry | None:
        before = len(self.problems)
        if not isinstance(item, Mapping):
            self.problems.append(Problem(place, "must be an object"))
            return None
        name = self._of_type(item, "name", str, place) or ""
        if not name:
            self.problems.append(Problem(f"{place}/name", "must be given"))
        template = self._template(item.get("tool_call_template"), f"{place}/tool_call_template")
        tool = Tool(
            source=self._name,
            name=name,
            description=self._of_type(item, "description", str, place) or "",
            input_schema=self._of_type(item, "inputs", dict, place) or {},
            output_schema=self._of_type(item, "outputs", dict, place) or None,
            annotations={
                "tags": self._of_type(item, "tags", list, place) or [],
                "tool_call_template_sha256": _digest(item.get("tool_call_template")),
            },
        )
        return Entry(Contract(tool), template) if len(self.problems) == before else None

    def _of_type(self, item: Mapping[str, Any], key: str, kind: type, place: str) -> Any:
        value = item.get(key)
        if value is not None and not isinstance(value, kind):
            self.problems.append(Problem(f"{place}/{key}", f"must be {_JSON_NAMES[kind.__name__]}"))
            return None
        return value

    def _template(self, value: Any, place: str) -> Any:
        if not isinstance(value, Mapping):
            self.problems.append(Problem(place, "must be an object that says how the tool is called"))
            return None
        kind = value.get("call_template_type")
        if not isinstance(kind, str) or kind not in _TEMPLATES:
            hint = did_you_mean(str(kind), _TEMPLATES)
            self.problems.append(Problem(f"{place}/call_template_type", f"{kind!r} is not supported{hint}"))
            return None
        if not self._fits(_TEMPLATES[kind], value, place):
            return None
        try:
            # A shell's own $NAME stays the shell's: variables reach a command through env_vars.
            commands = {key: value[key] for key in ("commands",) if kind == "cli" and key in value}
            rest = {key: item for key, item in value.items() if key not in commands}
            template = _TEMPLATES[kind].model_validate({**substitute(rest, self._variables, bare=True), **commands})
        except ValueError as error:
            self.problems.append(Problem(place, str(error)))
            return None
        self._check(template, kind, place)
        return template

    def _fits(self, model: type[BaseModel], value: Mapping[str, Any], place: str) -> bool:
        """Whether a template as written, its secrets not yet in it, has the right shape."""
        try:
            model.model_validate(dict(value))
        except ValidationError as error:
            for found in error.errors(include_input=False, include_url=False, include_context=False):
                path = "/".join(str(part) for part in found["loc"])
                self.problems.append(Problem(f"{place}/{path}", found["msg"]))
            return False
        except Exception as error:  # utcp wraps what it finds in its auth section into an error of a kind of its own
            self.problems.append(Problem(f"{place}/auth", str(error).strip().splitlines()[-1]))
            return False
        return True

    def _check(self, template: Any, kind: str, place: str) -> None:
        if kind == "cli":
            for variable in template.inherit_env_vars or ():
                if variable not in self._may_pass:
                    message = f"{variable!r} must be named in the source's pass_env too"
                    self.problems.append(Problem(f"{place}/inherit_env_vars", message))
            if not template.commands:
                self.problems.append(Problem(f"{place}/commands", "must hold at least one command"))
        if kind == "file":
            try:
                inside(self._base_dir, template.file_path)
            except ValueError as error:
                self.problems.append(Problem(f"{place}/file_path", str(error)))


def _digest(template: Any) -> str:
    return hashlib.sha256(canonical_json(template).encode()).hexdigest()
