"""One list over several sources, and one call to any of them."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from kit.processes import import_path
from maestro_tools import (
    InvalidArguments,
    InvalidSource,
    ServerMisbehaved,
    ServerUnavailable,
    Tool,
    ToolCatalogue,
    UnknownSource,
)
from maestro_tools._schemas import Contract
from maestro_tools.testing import BEHAVIOURS, ExampleService, fake_server


def sources(service: ExampleService) -> dict[str, Any]:
    return {"web": {"utcp": {"manual": service.manual}}, "fake": fake_server()}


async def test_equal_names_of_two_sources_stay_distinct(service: ExampleService) -> None:
    """Every tool says whose it is; sources come in their order, tools by name."""
    async with ToolCatalogue(sources(service)) as tools:
        listed = [(tool.source, tool.name) for tool in await tools.list_tools()]
        assert [name for name in listed if name[1] == "echo"] == [("web", "echo"), ("fake", "echo")]
        assert [name for name in listed if name[0] == "fake"] == sorted(name for name in listed if name[0] == "fake")
        assert listed[: len(service.manual["tools"])] == [("web", name) for name in ("echo", "fail", "sleep")]
        assert [tool.source for tool in await tools.list_tools("web")] == ["web"] * 3
        for source in ("web", "fake"):
            assert (await tools.call(source, "echo", {"text": source})).value == {"text": source}


async def test_unknown_source_is_named(service: ExampleService) -> None:
    """With the nearest that is known."""
    async with ToolCatalogue(sources(service)) as tools:
        with pytest.raises(UnknownSource, match="'fkae'; did you mean 'fake'"):
            await tools.call("fkae", "echo")
        with pytest.raises(UnknownSource):
            await tools.list_tools("wbe")


def test_wrong_source_is_refused_before_anything_starts() -> None:
    """All problems, when the catalogue is made."""
    with pytest.raises(InvalidSource, match="/a/mcp: must say how to reach the server"):
        ToolCatalogue({"a": {"mcp": {}}})
    with pytest.raises(InvalidSource, match="must be a mapping, not a list"):
        ToolCatalogue([])  # type: ignore[arg-type]  # what a file may hold


async def test_sources_connect_on_first_use_and_once() -> None:
    """A source that nobody calls is not started; many first calls start one."""
    async with ToolCatalogue({"dead": fake_server("dies-at-start"), "fake": fake_server()}) as tools:
        results = await asyncio.gather(*(tools.call("fake", "about") for _ in range(5)))
    assert len({result.value["pid"] for result in results}) == 1


async def test_closed_catalogue_refuses() -> None:
    """And closing again does nothing."""
    tools = ToolCatalogue({"fake": fake_server()})
    await tools.call("fake", "echo", {"text": "x"})
    await tools.close()
    await tools.close()
    with pytest.raises(ServerUnavailable, match="closed"):
        await tools.call("fake", "echo", {"text": "x"})


async def test_task_that_is_cancelled_inside_the_block_closes_everything() -> None:
    """Leaving by cancellation is leaving."""
    connected = asyncio.Event()

    async def use() -> None:
        async with ToolCatalogue({"fake": fake_server()}) as tools:
            await tools.call("fake", "echo", {"text": "x"})
            connected.set()
            await tools.call("fake", "sleep", {"seconds": 60})

    using = asyncio.create_task(use())
    async with asyncio.timeout(20):
        await connected.wait()
    using.cancel()
    await asyncio.wait([using], timeout=20)
    assert using.cancelled()


def contract(input_schema: dict[str, Any]) -> Contract:
    return Contract(Tool("s", "t", "", input_schema))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "must be a mapping, not list"),
        ({"x": object()}, "are not JSON"),
        ({"x": float("nan")}, "are not JSON"),
        ({"x": "y" * 5_000_000}, "more than 4194304"),
        ({"n": "1", "x": 2}, r"/n: '1' is not of type 'integer'; /x: 2 is not of type 'string'"),
    ],
)
def test_hostile_arguments_are_refused(arguments: Any, message: str) -> None:
    """Before anything is sent, with every place."""
    schema = {"type": "object", "properties": {"n": {"type": "integer"}, "x": {"type": "string"}}}
    with pytest.raises(InvalidArguments, match=message):
        contract(schema).check_arguments(arguments)


def test_deep_arguments_are_refused() -> None:
    """Without the recursion that they aim at."""
    deep: dict[str, Any] = {}
    for _ in range(100_000):
        deep = {"x": deep}
    with pytest.raises(InvalidArguments, match="nested deeper than 100"):
        contract({}).check_arguments(deep)


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "objekt"}, "is invalid at /type"),
        ({"$ref": "https://example.com/schema.json"}, "refers to 'https://example.com/schema.json', which it lacks"),
        ({"$ref": "#/$defs/none"}, "refers to"),
        ({"$ref": "#"}, "recurses without end"),
        ({"description": "x" * 600_000}, "is larger than 524288 bytes"),
    ],
)
def test_hostile_schema_is_refused(schema: dict[str, Any], message: str) -> None:
    """Nothing is fetched for it, and nothing loops."""
    with pytest.raises(ServerMisbehaved, match=message):
        contract(schema).check_arguments({})


def test_digest_changes_with_everything_that_is_declared() -> None:
    """And with nothing else: not with the order of keys, not with the source's name."""
    tool = Tool("s", "t", "d", {"a": 1, "b": 2}, {"c": 3}, {"title": "x"})
    same = Tool("other", "t", "d", {"b": 2, "a": 1}, {"c": 3}, {"title": "x"})
    others = [
        Tool("s", "T", "d", {"a": 1, "b": 2}, {"c": 3}, {"title": "x"}),
        Tool("s", "t", "D", {"a": 1, "b": 2}, {"c": 3}, {"title": "x"}),
        Tool("s", "t", "d", {"a": 1}, {"c": 3}, {"title": "x"}),
        Tool("s", "t", "d", {"a": 1, "b": 2}, None, {"title": "x"}),
        Tool("s", "t", "d", {"a": 1, "b": 2}, {"c": 3}, {}),
    ]
    assert tool.digest == same.digest
    assert len({tool.digest, *(other.digest for other in others)}) == 1 + len(others)


def test_importing_the_package_is_light() -> None:
    """The SDKs are imported when a source is first used."""
    heavy = "{'mcp', 'utcp', 'pydantic', 'jsonschema', 'aiohttp', 'httpx2', 'anyio'}"
    program = f"import sys, maestro_tools; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": import_path()},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "[]"


def test_behaviours_of_the_fake_server_are_named() -> None:
    """A misspelt one is refused, not taken for a good server."""
    assert all(fake_server(behaviour)["mcp"]["command"][-1] == behaviour for behaviour in BEHAVIOURS)
    assert Path(fake_server()["mcp"]["command"][-2]).is_file()
    with pytest.raises(ValueError, match="no such behaviour"):
        fake_server("dies")
