"""What there is to start by name: versions that were registered, and the files of the templates folder."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from maestro_engine.templates.contract import (
    FILE,
    LATEST,
    NAME_PATTERN,
    CheckedTemplate,
    CheckTemplate,
    NewTemplate,
    TemplatePage,
    TemplateSummaryView,
    TemplateVersionView,
    TemplateView,
    VersionView,
)
from maestro_engine.templates.errors import (
    TemplateDeprecated,
    TemplateInUse,
    TemplateNameMissing,
    TemplateVersionTaken,
    UnknownTemplate,
    UnknownTemplateVersion,
)
from maestro_engine.templates.folder import TemplateFolder
from maestro_engine.templates.store import TemplateStore, TemplateVersion
from maestro_workflow_engine import StepKind, WorkflowDefinition, parse_definition
from maestro_yaml_config_parser import Document, load_yaml, load_yaml_file

_KNOWN: Final = 50
"""So many names or versions an error lists."""

UsersOf = Callable[[str], Awaitable[Sequence[str]]]
"""The schedules that start a template, by name."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Template:
    """One version of a template, ready to be started; relative paths in it start from `base_dir`."""

    name: str
    version: str
    definition: WorkflowDefinition
    base_dir: Path | None


class Templates:
    """The registry first, then the folder: a name that was registered hides the file of that name.

    `name@file` is the file in any case. `changing` is held by whoever deletes a template, and by whoever begins to use
    one, so that none is deleted that somebody has just begun to use.
    """

    def __init__(
        self,
        store: TemplateStore,
        folder: TemplateFolder,
        kinds: Mapping[str, StepKind] | None,
        *,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._store = store
        self._folder = folder
        self._kinds = kinds
        self._clock = clock
        self.changing = asyncio.Lock()

    async def parsed(self, source: Mapping[str, Any] | str) -> WorkflowDefinition:
        """What `read` gives, while other requests go on."""
        return await asyncio.to_thread(self.read, source)

    def read(self, source: Mapping[str, Any] | str) -> WorkflowDefinition:
        """What a definition document, or the text of a YAML file, means; raises InvalidDefinition, YamlError.

        A large one takes a while: call it off the event loop, or `parsed`.
        """
        if isinstance(source, str):
            return self._of_document(load_yaml(source), None)
        return parse_definition(source, kinds=self._kinds)

    async def check(self, order: CheckTemplate) -> CheckedTemplate:
        """What registering would do; raises what registering raises."""
        definition = await self.parsed(order.definition)
        name = _name_of(order, definition)
        placed = await self._store.place(name, order.version, definition.digest)
        if placed.is_taken:
            raise TemplateVersionTaken(name, placed.version)
        return CheckedTemplate(name=name, version=placed.version, digest=definition.digest, is_new=placed.is_new)

    async def register(self, order: NewTemplate, *, by: str) -> CheckedTemplate:
        """Keep a definition as a version; the same again changes nothing.

        Raises InvalidDefinition, YamlError, TemplateNameMissing, TemplateVersionTaken.
        """
        definition = await self.parsed(order.definition)
        name = _name_of(order, definition)
        placed = await self._store.add(
            name, order.version, definition.digest, definition.document, at=self._clock(), by=by
        )
        if placed.is_taken:
            raise TemplateVersionTaken(name, placed.version)
        return CheckedTemplate(name=name, version=placed.version, digest=definition.digest, is_new=placed.is_new)

    async def page(self, *, limit: int, after: str) -> TemplatePage:
        """Templates by name, those of the folder too."""
        registered = await self._store.latest(after, limit + 1)
        files = {name: FILE for name in await asyncio.to_thread(self._folder.names) if name > after}
        found = sorted({**files, **registered}.items())
        items = [TemplateSummaryView(name=name, latest=latest) for name, latest in found[:limit]]
        return TemplatePage(items=items, next=items[-1].name if len(found) > limit else None)

    async def get(self, name: str) -> TemplateView:
        """A template with its versions; raises UnknownTemplate."""
        kept = await self._store.versions(name)
        has_file = name in await asyncio.to_thread(self._folder.names)
        if not kept and not has_file:
            raise await self._unknown(name)
        live = [each.version for each in kept if each.deprecated_at is None]
        latest = live[0] if live else None if kept else FILE
        versions = [_view(each) for each in kept]
        if has_file:
            versions.append(VersionView(version=FILE, digest=None, created_at=None, created_by=None))
        return TemplateView(name=name, latest=latest, versions=versions)

    async def version(self, name: str, version: str) -> TemplateVersionView:
        """One version with its definition; raises what `find` raises."""
        template = await self.find(name, version)
        view = VersionView(
            version=template.version, digest=template.definition.digest, created_at=None, created_by=None
        )
        for kept in await self._store.versions(name):
            if kept.version == template.version:
                view = _view(kept)
        return TemplateVersionView(name=name, definition=dict(template.definition.document), **view.model_dump())

    async def deprecate(self, name: str, version: str, reason: str) -> None:
        """Take a version out of what the bare name starts; raises UnknownTemplate, UnknownTemplateVersion."""
        if not await self._store.deprecate(name, version, reason, self._clock()):
            raise await self._no_version(name, version)

    async def restore(self, name: str, version: str) -> None:
        """Take back a deprecation; raises UnknownTemplate, UnknownTemplateVersion."""
        if not await self._store.deprecate(name, version, None, None):
            raise await self._no_version(name, version)

    async def delete(self, name: str, *, users_of: UsersOf) -> None:
        """Delete all versions, none of which is ever given to other content; raises UnknownTemplate, TemplateInUse."""
        async with self.changing:
            if users := await users_of(name):
                raise TemplateInUse(name, users)
            if not await self._store.delete(name):
                raise await self._unknown(name)

    async def named(self, reference: str) -> Template:
        """What `name` or `name@version` starts; raises what `find` raises."""
        name, _, version = reference.partition("@")
        return await self.find(name, version or None)

    async def find(self, name: str, version: str | None = None) -> Template:
        """A template by its name; without a version the latest.

        Raises UnknownTemplate, UnknownTemplateVersion, TemplateDeprecated; YamlError or InvalidDefinition for a file
        that is wrong, or a definition whose step kinds are not there any more.
        """
        wants_latest = version in (None, LATEST)
        picked = None if version == FILE else await self._store.pick(name, None if wants_latest else version)
        if picked is not None:
            return Template(name, picked[0], await self.parsed(picked[1]), None)
        if wants_latest and await self._store.versions(name):
            raise TemplateDeprecated(name)
        if wants_latest or version == FILE:
            definition = await asyncio.to_thread(self._of_file, name)
            if definition is not None:
                return Template(name, FILE, definition, self._folder.folder)
        raise await self._no_version(name, version or LATEST)

    async def template_definition(self, name: str, version: str | None) -> tuple[WorkflowDefinition, str]:
        """What a child workflow by template is, and the version that it has; raises what `find` raises."""
        template = await self.find(name, version)
        return template.definition, template.version

    def _of_file(self, name: str) -> WorkflowDefinition | None:
        try:
            path = self._folder.path(name)
        except UnknownTemplate:
            return None
        return self._of_document(load_yaml_file(path), path.name)

    def _of_document(self, document: Document, file: str | None) -> WorkflowDefinition:
        return parse_definition(
            document.data,
            positions=document.positions,
            key_positions=document.key_positions,
            file=file,
            kinds=self._kinds,
        )

    async def _no_version(self, name: str, version: str) -> UnknownTemplate | UnknownTemplateVersion:
        known = [each.version for each in await self._store.versions(name)]
        if version != FILE and name in await asyncio.to_thread(self._folder.names):
            known.append(FILE)
        return UnknownTemplateVersion(name, version, known[:_KNOWN]) if known else await self._unknown(name)

    async def _unknown(self, name: str) -> UnknownTemplate:
        page = await self.page(limit=_KNOWN, after="")
        return UnknownTemplate(name, [each.name for each in page.items])


def _name_of(order: CheckTemplate, definition: WorkflowDefinition) -> str:
    name = order.name or definition.name
    if not re.fullmatch(NAME_PATTERN, name):
        raise TemplateNameMissing(name)
    return name


def _view(kept: TemplateVersion) -> VersionView:
    return VersionView(
        version=kept.version,
        digest=kept.digest,
        created_at=kept.created_at,
        created_by=kept.created_by,
        deprecated_at=kept.deprecated_at,
        deprecation=kept.deprecation,
    )
