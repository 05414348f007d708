"""Templates as tools: where they come from, and what their schemas say."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from maestro_engine.templates.contract import FILE
from maestro_engine.templates.errors import TemplateError, UnknownTemplate
from maestro_engine.templates.folder import TemplateFolder
from maestro_engine.templates.service import Templates
from maestro_workflow_engine import (
    MISSING,
    InputSpec,
    InvalidDefinition,
    StepKind,
    UnknownStepKind,
    WorkflowDefinition,
    parse_definition,
)
from maestro_yaml_config_parser import YamlError, load_yaml_file

_log: Final = logging.getLogger("maestro_engine")
_PAGE: Final = 200
_KEPT: Final = 1_000


@dataclass(frozen=True, slots=True)
class TemplateTool:
    """A template that can be started: what its name stands for now."""

    name: str
    definition: WorkflowDefinition
    version: str | None = None
    base_dir: Path | None = None
    """The folder that paths in its steps start from."""


class ToolSource(Protocol):
    """Where the tools come from."""

    async def tools(self) -> Sequence[TemplateTool]:
        """Every template that can be started, as it is now, in any order."""
        ...


class FolderTools:
    """The templates of a folder. A file is parsed again when it has changed; a wrong one is logged and left out."""

    def __init__(self, folder: TemplateFolder, kinds: Mapping[str, StepKind] | None) -> None:
        self._folder = folder
        self._kinds = kinds
        self._parsed: dict[str, tuple[tuple[int, int], TemplateTool | None]] = {}

    async def tools(self) -> Sequence[TemplateTool]:
        """Those whose file can be used, as it is now."""
        return await asyncio.to_thread(self._read)

    def _read(self) -> list[TemplateTool]:
        found: dict[str, tuple[tuple[int, int], TemplateTool | None]] = {}
        for name in self._folder.names():
            try:
                path = self._folder.path(name)
                stat = path.stat()
            except (OSError, UnknownTemplate):  # taken away since it was listed
                continue
            known, stamp = self._parsed.get(name), (stat.st_mtime_ns, stat.st_size)
            found[name] = known if known and known[0] == stamp else (stamp, self._tool(name, path))
        self._parsed = found
        return [tool for _, tool in found.values() if tool is not None]

    def _tool(self, name: str, path: Path) -> TemplateTool | None:
        try:
            definition = parse_definition(load_yaml_file(path).data, file=path.name, kinds=self._kinds)
        except (YamlError, InvalidDefinition, UnknownStepKind) as error:
            _log.warning("mcp.template_left_out name=%s: %s", name, error)
            return None
        return TemplateTool(name, definition, base_dir=self._folder.folder)


class RegistryTools:
    """The latest version of every template: that of the registry where there is one, else the file of its name."""

    def __init__(self, templates: Templates, files: FolderTools) -> None:
        self._templates = templates
        self._files = files
        self._known: dict[tuple[str, str], TemplateTool] = {}

    async def tools(self) -> Sequence[TemplateTool]:
        """Every template that can be started, as it is now."""
        found = {tool.name: tool for tool in await self._files.tools()}
        after: str | None = ""
        while after is not None:
            page = await self._templates.page(limit=_PAGE, after=after)
            after = page.next
            for each in page.items:
                if each.latest != FILE:
                    found.pop(each.name, None)
                if each.latest not in (None, FILE):
                    tool = await self._registered(each.name, each.latest)
                    if tool is not None:
                        found[each.name] = tool
        return list(found.values())

    async def _registered(self, name: str, version: str) -> TemplateTool | None:
        """A version of the registry, which never changes; None when it has been taken away meanwhile."""
        known = self._known.get((name, version))
        if known is None:
            try:
                template = await self._templates.find(name, version)
            except TemplateError:
                return None
            if len(self._known) >= _KEPT:
                self._known.clear()
            known = self._known[name, version] = TemplateTool(name, template.definition, version, template.base_dir)
        return known


def input_schema(definition: WorkflowDefinition) -> dict[str, Any]:
    """What a start must give, as JSON Schema 2020-12."""
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {name: _property(spec) for name, spec in definition.inputs.items()},
        "additionalProperties": False,
    }
    if required := [name for name, spec in definition.inputs.items() if spec.is_required]:
        schema["required"] = required
    return schema


def _property(spec: InputSpec) -> dict[str, Any]:
    is_nullable = spec.default is None
    schema: dict[str, Any] = {"type": [spec.type, "null"] if is_nullable else spec.type}
    if spec.description is not None:
        schema["description"] = spec.description
    if spec.enum is not None:
        schema["enum"] = [*spec.enum, None] if is_nullable and None not in spec.enum else list(spec.enum)
    if spec.default is not MISSING:
        schema["default"] = spec.default
    return schema


def output_schema(definition: WorkflowDefinition) -> dict[str, Any] | None:
    """The names of what a workflow gives, as what they stand for is not known before it runs; None without any."""
    names = definition.document.get("outputs")
    if not isinstance(names, Mapping) or not names:
        return None
    return {"type": "object", "properties": {name: {} for name in names}, "required": list(names)}
