"""Artifacts over HTTP: listed, downloaded whole and in part, looked at; also when they are encrypted in their files."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import APIRouter
from hypothesis import given
from hypothesis import strategies as st

from maestro_core_api import create_api
from maestro_engine.http.artifacts import MAX_PREVIEW_BYTES, artifact_routes
from maestro_engine.http.problems import PROBLEMS
from maestro_engine.http.ranges import NotSatisfiable, range_of
from maestro_engine.secrets.keys import Key, Keys, Sealing
from maestro_engine.workflows.artifacts import Artifacts
from maestro_workflow_engine import ArtifactRef, EmbeddedBackend, StepCall, parse_definition
from maestro_workflow_engine.testing import Gate, ScriptedKind, large_output

LARGE = hashlib.shake_128(b"large").digest(600_000)
CONTENTS: Mapping[str, bytes] = {
    "page.html": b"<script>alert(1)</script>",
    "large.bin": LARGE,
    "empty.txt": b"",
    'größe "1".txt': "grüße\r\n".encode() * 100,
    "colours.log": b"\x1b[31mred\x1b[0m\n",
    "nul.txt": b"text\x00text",
    "latin.txt": "grün".encode("latin-1"),
}


async def keep(call: StepCall) -> object:
    for name, data in CONTENTS.items():
        await call.artifacts.put(data, name)
    return "x" * 100_000


@dataclass
class Door:
    """The routes of artifacts before a workflow that has kept some."""

    http: httpx2.AsyncClient
    backend: EmbeddedBackend
    id: str
    folder: Path
    hashes: dict[str, str] = field(default_factory=lambda: {name: sha256(data) for name, data in CONTENTS.items()})

    async def read(self, name: str, headers: Mapping[str, str] | None = None, **params: Any) -> httpx2.Response:
        url = f"/api/workflows/{self.id}/artifacts/{self.hashes.get(name, name)}"
        return await self.http.get(url, headers=headers, params=params)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(params=["plain", "sealed"])
async def door(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Door]:
    """Over a real store, with a cipher and without."""
    cipher = Sealing(Keys([Key(bytes(range(32)))]), "artifacts") if request.param == "sealed" else None
    kinds = {"keep": ScriptedKind(keep), "echo": ScriptedKind()}
    definition = parse_definition(
        {
            "name": "keeps",
            "steps": {
                "first": {"kind": "keep"},
                "each": {"kind": "keep", "map": {"items": [1, 2]}, "needs": ["first"]},
            },
            "outputs": {"all": "${{ steps.first.output }}"},
        },
        kinds=kinds,
    )
    async with EmbeddedBackend(tmp_path / "data", kinds=kinds, synchronous="NORMAL", cipher=cipher) as backend:
        started = await backend.start(definition)
        assert (await backend.wait(started.workflow_id, 20)).status == "succeeded"
        routes = APIRouter(prefix="/api/workflows")
        artifact_routes(routes, Artifacts(backend))
        app = create_api(title="Artifacts", version="1.0.0", routers=[routes], problems=PROBLEMS)
        transport = httpx2.ASGITransport(app, client=("127.0.0.1", 4711))
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost:8000") as http:
            yield Door(http, backend, started.workflow_id, tmp_path / "data")


def refused(answer: httpx2.Response, status: int, code: str) -> None:
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text


async def test_everything_that_a_workflow_has_kept_is_listed_with_where_it_is_from(door: Door) -> None:
    """In the order of its steps, in pages; what is large of outputs as well."""
    url, seen, cursor = f"/api/workflows/{door.id}/artifacts", list[dict[str, Any]](), None
    while True:
        page = (await door.http.get(url, params={"limit": 4} | ({"cursor": cursor} if cursor else {}))).json()
        seen += page["items"]
        cursor = page["next"]
        if cursor is None:
            break
        assert len(page["items"]) == 4
    assert seen == (await door.http.get(url)).json()["items"]
    places = [(each["step"], each["item"]) for each in seen]
    per_run = len(CONTENTS) + 1
    assert places == [*[("first", None)] * per_run, *[("each", 0)] * per_run, *[("each", 1)] * per_run, (None, None)]
    first = {each["name"]: each for each in seen[: len(CONTENTS)]}
    assert first.keys() == CONTENTS.keys()
    for name, data in CONTENTS.items():
        assert (first[name]["sha256"], first[name]["size_bytes"]) == (sha256(data), len(data))
    assert first["page.html"]["media_type"] == "text/html"
    for wrong in ("-1", "x", "9" * 30, "²"):
        refused(await door.http.get(url, params={"cursor": wrong}), 400, "request.bad-cursor")
    assert (await door.http.get(url, params={"cursor": "999"})).json() == {"items": [], "next": None}
    refused(await door.http.get("/api/workflows/unknown/artifacts"), 404, "workflow.not-found")


@pytest.mark.parametrize("name", CONTENTS)
async def test_a_download_is_whole_and_never_a_page(door: Door, name: str) -> None:
    """Its bytes, its name, and nothing that a browser would run."""
    answer = await door.read(name)
    assert (answer.status_code, answer.content) == (200, CONTENTS[name])
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-length"] == str(len(CONTENTS[name]))
    assert answer.headers["etag"] == f'"{door.hashes[name]}"'
    disposition = answer.headers["content-disposition"]
    assert disposition.startswith("attachment; filename")
    assert disposition.isascii()
    assert disposition.count('"') in (0, 2)
    known = await door.read(name, {"If-None-Match": f'"x", W/"{door.hashes[name]}"'})
    assert (known.status_code, known.content) == (304, b"")


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, 600_000),
        ("bytes=262143-262144", 262_143, 262_145),
        ("bytes=100000-599998", 100_000, 599_999),
        ("bytes=599999-", 599_999, 600_000),
        ("bytes=599999-9999999", 599_999, 600_000),
        ("bytes=-1", 599_999, 600_000),
        ("bytes=-9999999", 0, 600_000),
        ("BYTES = 5-9", 5, 10),
    ],
)
async def test_a_part_is_given_to_whoever_asks_for_one(door: Door, asked: str, start: int, end: int) -> None:
    """206 with where it stands: a download goes on where it broke off."""
    answer = await door.read("large.bin", {"Range": asked})
    assert (answer.status_code, answer.content) == (206, LARGE[start:end])
    assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/600000"
    assert answer.headers["content-length"] == str(end - start)
    assert answer.headers["accept-ranges"] == "bytes"


@pytest.mark.parametrize(
    "asked", ["bytes=5-4", "bytes=0-1,3-4", "items=0-1", "bytes=", "bytes=-", "bytes=a-b", "bytes=1-2-3", "x" * 900]
)
async def test_what_is_no_range_counts_for_nothing(door: Door, asked: str) -> None:
    """The answer is all of it, as RFC 9110 tells."""
    answer = await door.read("large.bin", {"Range": asked})
    assert (answer.status_code, answer.content == LARGE) == (200, True)


@pytest.mark.parametrize(
    ("name", "asked"), [("large.bin", "bytes=600000-"), ("large.bin", "bytes=-0"), ("empty.txt", "bytes=0-")]
)
async def test_a_range_behind_the_end_is_a_416_that_tells_the_size(door: Door, name: str, asked: str) -> None:
    """So that the caller can ask again."""
    answer = await door.read(name, {"Range": asked})
    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{len(CONTENTS[name])}"


async def test_a_part_goes_on_only_with_what_it_began_with(door: Door) -> None:
    """If-Range with another tag, or with a date, gets all of it."""
    for tag, status in ((door.hashes["large.bin"], 206), ("0" * 64, 200)):
        answer = await door.read("large.bin", {"Range": "bytes=0-9", "If-Range": f'"{tag}"'})
        assert answer.status_code == status
    dated = await door.read("large.bin", {"Range": "bytes=0-9", "If-Range": "Sat, 21 Nov 2026 12:00:00 GMT"})
    assert dated.status_code == 200


async def test_the_beginning_of_a_text_can_be_looked_at(door: Door) -> None:
    """As plain text whatever it says that it is; a cut goes through no character."""
    page = await door.read("page.html", preview=1000)
    assert (page.status_code, page.text) == (200, "<script>alert(1)</script>")
    assert page.headers["content-type"] == "text/plain; charset=utf-8"
    assert page.headers["x-content-type-options"] == "nosniff"
    text = CONTENTS['größe "1".txt'].decode()
    for size in range(1, 12):
        shown = (await door.read('größe "1".txt', preview=size)).text
        assert text.startswith(shown)
        assert size - 1 <= len(shown.encode()) <= size
    assert (await door.read('größe "1".txt', preview=20)).headers["x-size-bytes"] == str(len(text.encode()))
    assert "red" in (await door.read("colours.log", preview=100)).text
    assert (await door.read("empty.txt", preview=10)).text == ""


@pytest.mark.parametrize("name", ["large.bin", "nul.txt", "latin.txt"])
async def test_what_is_no_text_cannot_be_looked_at(door: Door, name: str) -> None:
    """406 says to download it."""
    refused(await door.read(name, preview=MAX_PREVIEW_BYTES), 406, "workflow.artifact-no-text")


@pytest.mark.parametrize("preview", ["0", "-1", "x", str(MAX_PREVIEW_BYTES + 1), "1e3", ""])
async def test_a_preview_of_no_size_is_refused(door: Door, preview: str) -> None:
    """422 names the parameter."""
    answer = await door.read("page.html", preview=preview)
    assert answer.status_code == 422


@pytest.mark.parametrize("wrong", ["0" * 64, "A" * 64, "..%2f..%2fjournal.db", "0" * 63, "%00" * 64])
async def test_only_what_the_workflow_names_can_be_had_through_it(door: Door, wrong: str) -> None:
    """No hash is a path, and no other artifact of the store is handed out."""
    assert (await door.read(wrong)).status_code in (400, 404, 422)
    other = await door.backend.start(parse_definition({"name": "other", "steps": {"a": {"kind": "echo"}}}))
    await door.backend.wait(other.workflow_id, 20)
    answer = await door.http.get(f"/api/workflows/{other.workflow_id}/artifacts/{door.hashes['page.html']}")
    refused(answer, 404, "workflow.unknown-artifact")


async def test_bytes_that_are_gone_or_damaged_are_told_before_the_answer_begins(door: Door) -> None:
    """404 for what was removed, 500 for what is damaged where that can be known; never a 200 with something else."""
    artifacts = door.folder / "artifacts"
    files = [path for path in await asyncio.to_thread(lambda: sorted(artifacts.rglob("*"))) if path.is_file()]
    (large,) = [path for path in files if path.stat().st_size >= len(LARGE)]
    content = bytearray(large.read_bytes())
    content[1000] ^= 1
    large.write_bytes(bytes(content))
    is_sealed = large.parent.name + large.name != door.hashes["large.bin"]
    if is_sealed:
        refused(await door.read("large.bin"), 500, "workflow.artifact-unreadable")
    else:
        with pytest.raises(Exception, match="no sound artifact"):  # the answer breaks off
            await door.read("large.bin")
    for path in files:
        path.unlink()
    for name in CONTENTS:
        refused(await door.read(name), 404, "workflow.artifact-not-found")
        refused(await door.read(name, preview=10), 404, "workflow.artifact-not-found")


async def test_large_outputs_are_artifacts_too(door: Door) -> None:
    """The outputs of the workflow, as JSON."""
    state = await door.backend.get(door.id)
    assert isinstance(state.outputs, ArtifactRef)
    assert json.loads((await door.read(state.outputs.sha256)).content) == {"all": "x" * 100_000}


@given(st.one_of(st.text(max_size=30), st.from_regex(r"\Abytes=[0-9]{0,20}-[0-9]{0,20}\Z")), st.integers(0, 2**40))
def test_any_header_is_a_range_within_the_content_or_none(header: str, size_bytes: int) -> None:
    """Nothing that is sent leads out of the content, or to an error that is not meant."""
    try:
        found = range_of(header, size_bytes)
    except NotSatisfiable:
        return
    assert found is None or 0 <= found[0] < found[1] <= size_bytes


async def test_with_a_lost_key_only_those_fail_that_need_what_it_sealed(tmp_path: Path) -> None:
    """An engine with another key opens, goes on with what was begun, and says what it cannot find."""
    gate = Gate()
    kinds = {"large": ScriptedKind(large_output(100_000)), "gate": ScriptedKind(gate), "echo": ScriptedKind()}
    last = {"kind": "echo", "needs": ["wait"]}
    needing = {"a": {"kind": "large"}, "wait": {"kind": "gate", "needs": ["a"]}}
    definitions = [
        {"name": "free", "steps": {"wait": {"kind": "gate"}, "last": last}},
        {"name": "needs", "steps": {**needing, "last": {**last, "with": {"x": "${{ steps.a.output }}"}}}},
    ]
    ids = []
    for seed in (0, 1):
        cipher = Sealing(Keys([Key(bytes(range(seed, seed + 32)))]), "artifacts")
        async with EmbeddedBackend(tmp_path / "data", kinds=kinds, synchronous="NORMAL", cipher=cipher) as backend:
            if seed == 0:
                for definition in definitions:
                    ids.append((await backend.start(parse_definition(definition, kinds=kinds))).workflow_id)
                    await gate.arrival()
                await backend.close(drain_s=0)
            else:
                gate.open()
                free, needs = [await backend.wait(each, 20) for each in ids]
                assert (free.status, needs.status, needs.failed_step) == ("succeeded", "failed", "last")
                assert needs.error is not None
                assert needs.error["code"] == "workflow.artifact-not-found"
