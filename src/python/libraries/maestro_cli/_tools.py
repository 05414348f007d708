"""`maestro tool`: what the tools of a definition are, pinned, and whether they still are that."""

import asyncio
import re
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from maestro_cli._client import print_json, told
from maestro_cli._document import read_data
from maestro_cli._errors import BadUsage, CliError
from maestro_cli._files import write_whole
from maestro_cli._table import print_table
from maestro_cli._text import plain
from maestro_cli._values import file_text
from maestro_tools import LOCK_NAME, InvalidSource, Tool, ToolCatalogue, ToolLock, ToolsError, drift
from maestro_workflow_engine import EnvironmentSecrets, SecretNotFound

_SECRET: Final = re.compile(r"\$\{\{\s*secrets\.([A-Za-z_][A-Za-z0-9_]*)\s*\}\}")
_PINNING: Final = frozenset({"pins", "lock", "on_drift"})
"""Keys of a source that say which tools it may have: here all of them are asked for."""


def list_tools(options: Namespace) -> int:
    """List the tools of a definition's sources."""
    tools = _tools_of(options.file)
    if options.json:
        print_json([{"source": tool.source, **tool.definition, "sha256": tool.digest} for tool in tools])
    elif tools:
        rows = [(tool.source, tool.name, ", ".join(_inputs(tool)), tool.description) for tool in tools]
        print_table(("source", "tool", "inputs", "about"), rows, whole=("source", "tool"))
    else:
        print(plain(f"{options.file} has no tools."))
    return 0


def _inputs(tool: Tool) -> list[str]:
    properties = tool.input_schema.get("properties")
    return list(properties) if isinstance(properties, Mapping) else []


def pin(options: Namespace) -> int:
    """Write what the tools are now into the lock file."""
    tools = _tools_of(options.file)
    lock_file = _lock_file(options)
    earlier = _read_lock(lock_file) if lock_file.exists() else ToolLock()
    now = ToolLock.of(tools)
    lock = ToolLock({**earlier.definitions, **now.definitions})
    write_whole(lock_file, lock.text().encode())
    count = sum(len(each) for each in now.definitions.values())
    changed = drift(_of_sources(earlier, set(now.definitions)), tools)
    answer = {"lock": str(lock_file), "tools": count, "changed": [f"{each.source}.{each.tool}" for each in changed]}
    told(options, answer, f"{lock_file}: {count} tools are pinned, {len(changed)} of them anew")
    return 0


def show_drift(options: Namespace) -> int:
    """Say which tools are not what was pinned; 1 when there are any."""
    tools = _tools_of(options.file)
    sources = set(_sources(options.file))
    found = drift(_of_sources(_read_lock(_lock_file(options)), sources), tools)
    if options.json:
        print_json([{"source": each.source, "tool": each.tool, "kind": each.kind, "diff": each.diff} for each in found])
    elif not found:
        print(f"Every tool is what was pinned ({len(tools)}).")
    else:
        for each in found:
            for line in str(each).splitlines():
                print(plain(line))
    return 1 if found else 0


def _of_sources(lock: ToolLock, sources: set[str]) -> ToolLock:
    return ToolLock({source: tools for source, tools in lock.definitions.items() if source in sources})


def _lock_file(options: Namespace) -> Path:
    lock: Path = options.lock or options.file.parent / LOCK_NAME
    return lock


def _read_lock(file: Path) -> ToolLock:
    if not file.exists():
        raise BadUsage(f"{file} is not there: maestro tool pin FILE writes it")
    try:
        return ToolLock.parse(file_text(file))
    except ValueError as error:
        raise BadUsage(f"{file} is no lock of tools: {plain(str(error))}") from error


def _tools_of(file: Path) -> list[Tool]:
    """Every tool that the sources of a definition have now; raises BadUsage, CliError."""
    sources, base_dir = _sources(file), file.resolve().parent
    try:
        return asyncio.run(_list(sources, base_dir))
    except InvalidSource as error:
        raise BadUsage(f"{file}: {error}") from error
    except ToolsError as error:
        raise CliError(str(error)) from error


async def _list(sources: Mapping[str, Any], base_dir: Path) -> list[Tool]:
    async with ToolCatalogue(await _with_secrets(sources), base_dir) as catalogue:
        return await catalogue.list_tools()


def _sources(file: Path) -> dict[str, Any]:
    """The `tools` of a definition, without what pins them; raises BadUsage."""
    data = read_data(file)
    sources = data.get("tools") if isinstance(data, Mapping) else None
    if not isinstance(sources, Mapping):
        raise BadUsage(f"{file} has no `tools`")
    return {
        str(name): (
            {key: each for key, each in source.items() if key not in _PINNING}
            if isinstance(source, Mapping)
            else source
        )
        for name, source in sources.items()
    }


async def _with_secrets(value: Any) -> Any:
    """The same with secrets of the environment in place; other expressions need a run, and raise BadUsage."""
    if isinstance(value, Mapping):
        return {name: await _with_secrets(each) for name, each in value.items()}
    if isinstance(value, list):
        return [await _with_secrets(each) for each in value]
    if not isinstance(value, str):
        return value
    known: dict[str, str] = {}
    for name in _SECRET.findall(value):
        try:
            known[name] = await EnvironmentSecrets().get(name)
        except SecretNotFound as error:
            raise BadUsage(str(error)) from error
    if "${{" in _SECRET.sub("", value):
        raise BadUsage(f"{plain(value[:80])!r} is known only when a workflow runs; here `secrets` alone can be read")
    return _SECRET.sub(lambda match: known[match[1]], value)
