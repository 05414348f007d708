"""Templates over HTTP: immutable versions, and workflows that stay on theirs."""

import asyncio
import os
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx2
import pytest
from services.maestro_engine.running import Engine, StartEngine, one_step

from maestro_engine.templates.service import Templates
from maestro_engine.templates.store import TemplateStore

TEMPLATES = "/api/templates"
YAML = "name: hello\nsteps:\n  greet: {kind: echo, with: {text: hello}}\n"


def named(name: str, **more: Any) -> dict[str, Any]:
    """A definition with a description that makes it another."""
    return {**one_step(), "name": name, **more}


async def register(engine: Engine, definition: dict[str, Any] | str, status: int = 201, **more: Any) -> dict[str, Any]:
    answer = await engine.http.post(TEMPLATES, json={"definition": definition, **more})
    assert answer.status_code == status, answer.text
    body: dict[str, Any] = answer.json()
    return body


async def code_of(answer: httpx2.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_versions_count_up_and_the_same_content_is_the_same_version(engine: Engine) -> None:
    """1, 2, then 1 again without a new one; YAML and JSON of one meaning are one content."""
    first = await register(engine, YAML)
    assert (first["name"], first["version"], first["is_new"]) == ("hello", "1", True)
    same = {"name": "hello", "steps": {"greet": {"kind": "echo", "with": {"text": "hello"}}}}
    assert await register(engine, same, 200) == {**first, "is_new": False}
    assert (await register(engine, named("hello")))["version"] == "2"
    assert (await register(engine, YAML, 200))["version"] == "1"
    assert (await register(engine, named("hello", description="x"), version="10"))["version"] == "10"
    assert (await register(engine, named("hello", description="y"), version="2026.11"))["version"] == "2026.11"
    assert (await register(engine, named("hello", description="z")))["version"] == "11"
    read = (await engine.http.get(f"{TEMPLATES}/hello")).json()
    assert (read["latest"], [each["version"] for each in read["versions"]]) == ("11", ["11", "2026.11", "10", "2", "1"])
    assert read["versions"][0]["created_by"] == "local"


async def test_a_version_never_changes(engine: Engine) -> None:
    """Other content is a 409, the same is a 200; not even after a deletion it is given away."""
    await register(engine, YAML, version="v1")
    refused = await engine.http.post(TEMPLATES, json={"definition": named("hello"), "version": "v1"})
    assert await code_of(refused) == (409, "template.version-taken")
    await register(engine, YAML, 200, version="v1")
    await register(engine, YAML, version="v2")
    await register(engine, named("hello"))
    assert (await engine.http.delete(f"{TEMPLATES}/hello")).status_code == 204
    assert await code_of(await engine.http.get(f"{TEMPLATES}/hello")) == (404, "template.unknown")
    refused = await engine.http.post(TEMPLATES, json={"definition": named("hello"), "version": "v1"})
    assert await code_of(refused) == (409, "template.version-taken")
    assert (await register(engine, named("hello", description="next")))["version"] == "2"
    assert (await register(engine, YAML, version="v1"))["is_new"] is True
    read = (await engine.http.get(f"{TEMPLATES}/hello")).json()
    assert [each["version"] for each in read["versions"]] == ["2", "v1"]


async def test_of_many_at_once_each_version_is_given_once(engine: Engine) -> None:
    """Twenty registrations of different content at the same time are twenty versions."""
    orders = [register(engine, named("busy", description=str(number))) for number in range(20)]
    versions = [each["version"] for each in await asyncio.gather(*orders)]
    assert sorted(versions, key=int) == [str(number) for number in range(1, 21)]


async def test_checking_tells_what_registering_would_do_and_keeps_nothing(engine: Engine) -> None:
    """The version it would get, the problems it has; afterwards there is no template."""
    answer = await engine.http.post(f"{TEMPLATES}/validate", json={"definition": YAML})
    assert (answer.status_code, answer.json()["version"], answer.json()["is_new"]) == (200, "1", True)
    wrong = await engine.http.post(f"{TEMPLATES}/validate", json={"definition": YAML.replace("echo", "nope")})
    assert await code_of(wrong) == (422, "workflow.invalid-definition")
    assert wrong.json()["errors"][0]["line"] == 3
    assert (await engine.http.get(TEMPLATES)).json() == {"items": [], "next": None}


@pytest.mark.parametrize(
    ("order", "code"),
    [
        ({}, "request.invalid"),
        ({"definition": 7}, "request.invalid"),
        ({"definition": YAML, "version": "file"}, "request.invalid"),
        ({"definition": YAML, "version": "latest"}, "request.invalid"),
        ({"definition": YAML, "version": "../1"}, "request.invalid"),
        ({"definition": YAML, "version": "1" * 65}, "request.invalid"),
        ({"definition": YAML, "name": "a@1"}, "request.invalid"),
        ({"definition": YAML, "name": "../etc"}, "request.invalid"),
        ({"definition": YAML, "extra": 1}, "request.invalid"),
        ({"definition": "a: [1"}, "yaml.bad-syntax"),
        ({"definition": "a: 1\na: 2"}, "yaml.duplicate-key"),
        ({"definition": named("two words")}, "template.name-missing"),
        ({"definition": named("x" * 100)}, "template.name-missing"),
        ({"definition": {"name": "n"}}, "workflow.invalid-definition"),
    ],
)
async def test_what_is_no_template_is_refused_by_name(engine: Engine, order: dict[str, Any], code: str) -> None:
    """422 with a code, and nothing is kept."""
    answer = await engine.http.post(TEMPLATES, json=order)
    assert await code_of(answer) == (422, code)
    assert (await engine.http.get(TEMPLATES)).json()["items"] == []


async def test_a_name_in_the_definition_that_will_not_do_can_be_given_beside_it(engine: Engine) -> None:
    """The template is called as the caller says; its workflows as the definition says."""
    assert (await register(engine, named("two words"), name="two"))["name"] == "two"
    started = (await engine.http.post("/api/workflows", json={"template": "two"})).json()
    assert (started["name"], started["template"], started["version"]) == ("two words", "two", "1")


async def test_the_registry_goes_before_the_folder_and_the_file_can_be_named(engine: Engine, tmp_path: Path) -> None:
    """A file is version `file`; once its name is registered, `name@file` is the way to it."""
    folder = tmp_path / "data" / "templates"
    folder.mkdir()
    (folder / "hello.yml").write_text("name: of-file\nsteps: {a: {kind: echo}}\n")

    async def starts(reference: str) -> tuple[str, str]:
        started = (await engine.http.post("/api/workflows", json={"template": reference})).json()
        return started["name"], started["version"]

    assert await starts("hello") == await starts("hello@file") == await starts("hello@latest") == ("of-file", "file")
    assert (await engine.http.get(f"{TEMPLATES}/hello")).json()["latest"] == "file"
    await register(engine, YAML)
    assert [await starts(reference) for reference in ("hello", "hello@1", "hello@file")] == [
        ("hello", "1"),
        ("hello", "1"),
        ("of-file", "file"),
    ]
    read = (await engine.http.get(f"{TEMPLATES}/hello")).json()
    assert [(each["version"], each["digest"] is None) for each in read["versions"]] == [("1", False), ("file", True)]
    file = (await engine.http.get(f"{TEMPLATES}/hello/versions/file")).json()
    assert (file["definition"]["name"], file["created_at"]) == ("of-file", None)


async def test_what_is_not_there_says_what_is(engine: Engine, tmp_path: Path) -> None:
    """404 lists known names, and known versions."""
    await register(engine, YAML)
    (tmp_path / "data" / "templates").mkdir()
    (tmp_path / "data" / "templates" / "onfile.yml").write_text("name: [")
    unknown = await engine.http.get(f"{TEMPLATES}/nope")
    assert (unknown.status_code, unknown.json()["known"]) == (404, ["hello", "onfile"])
    for path in (f"{TEMPLATES}/hello/versions/9", f"{TEMPLATES}/hello/versions/file"):
        answer = await engine.http.get(path)
        assert (await code_of(answer), answer.json()["known"]) == ((404, "template.unknown-version"), ["1"])
    start = await engine.http.post("/api/workflows", json={"template": "hello@9"})
    assert await code_of(start) == (404, "template.unknown-version")
    broken = await engine.http.get(f"{TEMPLATES}/onfile/versions/file")
    assert await code_of(broken) == (422, "yaml.bad-syntax")


async def test_a_deprecated_version_is_started_only_by_its_name(engine: Engine) -> None:
    """The bare name starts the newest that is not deprecated, and is refused when there is none."""
    await register(engine, YAML)
    await register(engine, named("hello"))

    async def deprecate(version: str, **order: str) -> int:
        path = f"{TEMPLATES}/hello/versions/{version}/deprecation"
        return (await engine.http.put(path, json=order)).status_code

    async def starts(reference: str) -> Any:
        answer = (await engine.http.post("/api/workflows", json={"template": reference})).json()
        return answer.get("version") or answer["code"]

    assert await deprecate("2", reason="take 1") == 204
    assert [await starts("hello"), await starts("hello@2")] == ["1", "2"]
    read = (await engine.http.get(f"{TEMPLATES}/hello/versions/2")).json()
    assert (read["deprecation"], read["definition"]["name"]) == ("take 1", "hello")
    assert await deprecate("1") == 204
    assert [await starts("hello"), await starts("hello@1")] == ["template.deprecated", "1"]
    assert (await engine.http.get(TEMPLATES)).json()["items"] == [{"name": "hello", "latest": None}]
    assert (await engine.http.delete(f"{TEMPLATES}/hello/versions/2/deprecation")).status_code == 204
    assert await starts("hello") == "2"
    assert await deprecate("9") == await deprecate("file") == 404


async def test_pages_go_by_name_and_hold_files_too(engine: Engine, tmp_path: Path) -> None:
    """Each template is on one page, once, whatever its source."""
    (tmp_path / "data" / "templates").mkdir()
    for name in ("b", "d"):
        (tmp_path / "data" / "templates" / f"{name}.yml").write_text("name: x\nsteps: {a: {kind: echo}}\n")
    for name in ("a", "c", "d", "e"):
        await register(engine, named(name))
    found: list[tuple[str, str]] = []
    query: dict[str, str] | None = {"limit": "2"}
    while query is not None:
        page = (await engine.http.get(TEMPLATES, params=query)).json()
        found += [(each["name"], each["latest"]) for each in page["items"]]
        query = {"limit": "2", "cursor": page["next"]} if page["next"] else None
    assert found == [("a", "1"), ("b", "file"), ("c", "1"), ("d", "1"), ("e", "1")]
    assert (await engine.http.get(TEMPLATES, params={"cursor": "../x"})).status_code == 422


async def test_a_running_workflow_stays_on_its_version_over_a_restart(start_engine: StartEngine) -> None:
    """While it waits, its template gets another version and is deleted: it ends by the definition it began with."""
    definition = named("slow", steps={"only": {"kind": "gate"}, "then": {"kind": "echo", "needs": ["only"]}})
    async with start_engine() as engine:
        await register(engine, definition)
        started = (await engine.http.post("/api/workflows", json={"template": "slow"})).json()
        await engine.gate.arrival()
        await register(engine, named("slow"))
    async with start_engine() as engine:
        assert (await engine.http.delete(f"{TEMPLATES}/slow")).status_code == 204
        await engine.gate.arrival()
        engine.gate.open()
        state = await engine.backend.wait(started["id"], 10)
        assert (state.status, set(state.steps), state.template, state.version) == (
            "succeeded",
            {"only", "then"},
            "slow",
            "1",
        )
        assert (await engine.http.get(started["url"])).json()["version"] == "1"


async def test_children_find_a_template_by_name_and_version(engine: Engine) -> None:
    """What the backend asks for on behalf of a child workflow: the definition, and the version it has."""
    await register(engine, YAML)
    templates: Templates = engine.parts.templates
    definition, version = await templates.template_definition("hello", None)
    assert (definition.name, version) == ("hello", "1")
    assert (await templates.template_definition("hello", "1"))[0].digest == definition.digest


async def test_each_change_is_accounted_for(engine: Engine) -> None:
    """Who registered, deprecated, restored and deleted what; checking and the same again are no change."""
    await register(engine, YAML)
    await register(engine, YAML, 200)
    path = f"{TEMPLATES}/hello/versions/1/deprecation"
    await engine.http.put(path, json={"reason": "old"})
    await engine.http.delete(path)
    await engine.http.delete(f"{TEMPLATES}/hello")
    entries = [(each["action"], each["object"], each["details"].get("version")) for each in await engine.entries()]
    assert entries[:4][::-1] == [
        ("template.register", "hello", "1"),
        ("template.deprecate", "hello", "1"),
        ("template.restore", "hello", "1"),
        ("template.delete", "hello", None),
    ]
    assert len([each for each in entries if each[0].startswith("template.")]) == 4


async def test_the_store_is_private_and_outlives_the_process(tmp_path: Path) -> None:
    """Mode 0600; what was added is there when it is opened again."""
    path = tmp_path / "templates.db"
    for expected in (True, False):
        store = TemplateStore(path)
        await store.open()
        placed = await store.add("t", None, "d", {"name": "t"}, at=datetime(2026, 1, 1, tzinfo=UTC), by="ann")
        assert (placed.version, placed.is_new) == ("1", expected)
        assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
        await store.close()
