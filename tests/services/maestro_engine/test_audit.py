"""The audit log over HTTP: each command and each refusal is one entry, and what is there can be proved."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from services.maestro_engine.running import Engine, StartEngine, bearer, one_step

from kit.processes import import_path

AUDIT = "/api/audit"


def said_by(folder: Path, *arguments: str) -> tuple[int, str]:
    """The exit status and the output of a Python program."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env={"PYTHONPATH": import_path() if "-m" in arguments else ""},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout


@pytest.fixture
async def guarded(start_engine: StartEngine) -> AsyncIterator[Engine]:
    """An engine to which everybody signs in; `http` is the admin's."""
    async with start_engine(auth="on") as engine:
        yield engine


async def accounted(engine: Engine, action: str, object: str) -> dict[str, Any]:
    """The one entry of an event of the engine itself, as soon as it is there."""
    async with asyncio.timeout(20):
        while not (found := await engine.entries(action=action, object=object)):
            await engine.backend.list(limit=1)
    (entry,) = found
    return entry


async def test_each_command_is_one_entry(guarded: Engine) -> None:
    """Who did what to what, under the id of the request and the key; questions are none."""
    http = guarded.http
    started = await http.post("/api/workflows", json={"definition": one_step("gate")}, headers={"X-Request-Id": "r-1"})
    workflow_id = started.json()["id"]
    await http.post(f"/api/workflows/{workflow_id}/cancel", json={"reason": "enough"}, headers={"X-Request-Id": "r-2"})
    added = await http.post("/api/access/users", json={"subject": "ana", "role": "viewer"})
    await http.put("/api/access/users/ana", json={"role": "operator", "disabled": True})
    key = (await http.post("/api/access/keys", json={"label": "x"})).json()["key"]["id"]
    await http.delete(f"/api/access/keys/{key}")
    other = (await http.post("/api/access/users/ana/keys", json={})).json()["key"]["id"]
    for question in ("/api/workflows", f"/api/workflows/{workflow_id}", AUDIT, "/metrics", "/api/access/me"):
        assert (await http.get(question)).status_code == 200
    entries = (await guarded.entries(actor="admin"))[::-1]
    assert [(each["action"], each["object"], each["outcome"]) for each in entries] == [
        ("workflow.start", workflow_id, "success"),
        ("workflow.cancel", workflow_id, "success"),
        ("user.add", "ana", "success"),
        ("user.change", "ana", "success"),
        ("key.issue", key, "success"),
        ("key.revoke", key, "success"),
        ("key.issue", other, "success"),
    ]
    me = (await http.get("/api/access/me")).json()
    assert {each["details"]["key_id"] for each in entries} == {me["key_id"]}
    assert [each["request_id"] for each in entries[:2]] == ["r-1", "r-2"]
    assert entries[0]["details"]["name"] == "sample"
    assert entries[1]["details"]["reason"] == "enough"
    assert entries[2]["details"]["key_issued"] == added.json()["issued"]["key"]["id"]
    assert (entries[3]["details"]["role"], entries[3]["details"]["disabled"]) == ("operator", True)
    assert (entries[4]["details"]["subject"], entries[6]["details"]["subject"]) == ("admin", "ana")


async def test_a_command_that_is_refused_by_its_rules_is_none(guarded: Engine) -> None:
    """Nothing was done, so nothing is told: 404, 409 and 422 are no entries."""
    before = await guarded.entries(actor="admin")
    for method, path, body, status in (
        ("POST", "/api/workflows", {"definition": {"name": "x", "steps": {}}}, 422),
        ("POST", "/api/workflows", {"template": "none"}, 404),
        ("POST", "/api/workflows/none/cancel", None, 404),
        ("PUT", "/api/access/users/admin", {"role": "viewer"}, 409),
        ("POST", "/api/access/users", {"subject": "admin", "role": "viewer"}, 409),
        ("DELETE", "/api/access/keys/none", None, 404),
    ):
        assert (await guarded.http.request(method, path, json=body)).status_code == status
    assert await guarded.entries(actor="admin") == before


async def test_each_refusal_is_one_entry(guarded: Engine) -> None:
    """Of who signed in by name, of all others as `anonymous`; with the route, the path, the status and the address."""
    viewer = bearer(await guarded.add_user("ana", "viewer"))
    await guarded.http.get("/api/audit/7/proof", headers={**viewer, "X-Request-Id": "r-3"})
    await guarded.http.post("/api/workflows", json={"definition": one_step()}, headers=bearer("mst_wrong"))
    await guarded.http.post("/api/workflows", headers={"Origin": "https://evil.example"})
    async with httpx2.AsyncClient(base_url=guarded.url) as stranger:
        await stranger.get("/api/workflows/abc?token=hunter2")
    entries = (await guarded.entries(outcome="denied"))[::-1]
    assert [(each["actor"], each["action"], each["object"], each["details"]["status"]) for each in entries] == [
        ("ana", "GET /api/audit/{seq}/proof", "/api/audit/7/proof", 403),
        ("anonymous", "POST /api/workflows", "/api/workflows", 401),
        ("anonymous", "POST __unmatched__", "/api/workflows", 403),
        ("anonymous", "GET /api/workflows/{workflow_id}", "/api/workflows/abc", 401),
    ]
    assert entries[0]["request_id"] == "r-3"
    assert {each["details"]["client"] for each in entries} == {"127.0.0.1"}
    assert "hunter2" not in str(entries)


@pytest.mark.parametrize("path", ["/api/workflows/" + "%F0%9F%92%A3" * 500, "/api/workflows/%00%0A%E2%80%AE", "//"])
async def test_a_hostile_path_is_refused_as_any_other(guarded: Engine, path: str) -> None:
    """Long, invisible and turned around: the entry holds it cut and encoded, and the answer is no fault."""
    async with httpx2.AsyncClient(base_url=guarded.url) as stranger:
        status = (await stranger.get(path)).status_code
    assert status in (401, 404)
    for entry in await guarded.entries(outcome="denied"):
        assert len(entry["object"]) <= 300
        assert entry["object"].isascii()


async def test_a_flood_of_refusals_fills_no_disk(guarded: Engine) -> None:
    """The first hundred a minute have an entry each; users are told apart from strangers, who cannot hide them."""
    async with httpx2.AsyncClient(base_url=guarded.url) as stranger:
        for _ in range(130):
            assert (await stranger.get("/api/workflows")).status_code == 401
    viewer = bearer(await guarded.add_user("ana", "viewer"))
    assert (await guarded.http.get(AUDIT, headers=viewer)).status_code == 403
    assert len(await guarded.entries(actor="anonymous")) == 100
    assert len(await guarded.entries(actor="ana")) == 1


async def test_what_was_only_counted_is_told_at_the_end(start_engine: StartEngine) -> None:
    """One entry says how many more there were, and since when."""
    async with start_engine(auth="on") as engine, httpx2.AsyncClient(base_url=engine.url) as stranger:
        for _ in range(103):
            await stranger.get("/api/workflows")
        key = engine.http.headers["authorization"]
    async with start_engine() as engine:
        (told,) = await engine.entries(action="refusals.further")
    assert (told["actor"], told["outcome"], told["details"]["count"]) == ("anonymous", "denied", 3)
    assert key not in str(told)


async def test_what_becomes_of_a_workflow_is_told(engine: Engine) -> None:
    """Its start and its end by the actor `engine`, in their order; of an error the code and no word more."""
    done, broken = await engine.start(one_step()), await engine.start(one_step("broken"))
    stopped = await engine.start(one_step("gate"))
    await engine.gate.arrival()
    await engine.http.post(f"/api/workflows/{stopped}/cancel", json={"reason": "enough"})
    ends = {
        done: ("workflow.succeeded", "success", {}),
        broken: ("workflow.failed", "failed", {"step": "only", "error": "workflow.step-raised"}),
        stopped: ("workflow.cancelled", "success", {"reason": "enough"}),
    }
    for workflow_id, (action, outcome, details) in ends.items():
        ended = await accounted(engine, action, workflow_id)
        begun = await accounted(engine, "workflow.started", workflow_id)
        assert (ended["actor"], ended["outcome"]) == ("engine", outcome)
        assert ended["details"].items() >= details.items()
        assert begun["seq"] < ended["seq"]
        assert begun["details"]["position"] < ended["details"]["position"]
        assert "no luck" not in str(ended)


async def test_pages_show_every_entry_once_newest_first(engine: Engine) -> None:
    """Following the cursor gives all entries without a gap; filters narrow them."""
    for number in range(7):
        await engine.start({**one_step(), "name": f"n{number}"})
    for entry in await engine.entries(action="workflow.start"):
        await accounted(engine, "workflow.succeeded", entry["object"])
    seen: list[int] = []
    cursor: str | None = None
    while True:
        params = {"limit": "4"} | ({"cursor": cursor} if cursor else {})
        page = (await engine.http.get(AUDIT, params=params)).json()
        seen += [each["seq"] for each in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == list(range(21))[::-1]
    starts = await engine.entries(actor="local", action="workflow.start", outcome="success")
    assert len(starts) == 7
    middle = starts[3]
    since = await engine.entries(actor="local", since=middle["at"])
    until = await engine.entries(actor="local", until=middle["at"])
    assert [each["seq"] for each in since + until] == [each["seq"] for each in starts]
    assert [each["object"] for each in await engine.entries(object=middle["object"], actor="local")] == [
        middle["object"]
    ]
    assert await engine.entries(actor="nobody") == []


@pytest.mark.parametrize(
    "params",
    [
        {"limit": "0"},
        {"limit": "501"},
        {"limit": "x"},
        {"cursor": "-1"},
        {"cursor": "9" * 19},
        {"cursor": "１"},
        {"outcome": "ok"},
        {"actor": ""},
        {"actor": "a" * 513},
        {"since": "yesterday"},
        {"since": "2026-11-21T00:00:00"},
        {"since": "0001-01-01T00:00:00+23:00"},
        {"until": "9999-12-31T23:59:59-23:00"},
        {"since": "1e400"},
    ],
)
async def test_a_wrong_question_is_refused_where_it_stands(engine: Engine, params: dict[str, str]) -> None:
    """422 names the parameter; no time and no number is a fault of the engine."""
    answer = await engine.http.get(AUDIT, params=params)
    assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")
    assert answer.json()["errors"][0]["pointer"] == f"/{next(iter(params))}"


@pytest.mark.parametrize(
    "params",
    [{"actor": '"\\'}, {"object": "\u202e\x00\n"}, {"action": "💣" * 100}, {"cursor": "0"}, {"cursor": "9" * 18}],
)
async def test_a_strange_question_has_an_empty_answer(engine: Engine, params: dict[str, str]) -> None:
    """What no entry can have finds none."""
    answer = await engine.http.get(AUDIT, params=params)
    assert (answer.status_code, answer.json()["next"]) == (200, None)


@pytest.mark.parametrize(("seq", "status"), [("0", 404), (str(10**15), 404), ("-1", 422), ("x", 422), ("9" * 30, 422)])
async def test_an_entry_that_is_not_there_has_no_proof(engine: Engine, seq: str, status: int) -> None:
    """404 for a number without an entry, 422 for what is no number."""
    assert (await engine.http.get(f"{AUDIT}/{seq}/proof")).status_code == status


async def test_checkpoint_and_proof_are_verified_by_who_has_nothing_of_ours(engine: Engine, tmp_path: Path) -> None:
    """The verifier is one file: with the public key it takes the log and a proof, and refuses a changed one."""
    workflow_id = await engine.start(one_step())
    await accounted(engine, "workflow.succeeded", workflow_id)
    signed = (await engine.http.get(f"{AUDIT}/checkpoint")).json()
    proof = await engine.http.get(f"{AUDIT}/0/proof")
    assert proof.headers["content-type"].startswith("text/plain")
    (tmp_path / "key").write_text(signed["public_key"])
    (tmp_path / "kept").write_text(signed["note"])
    (tmp_path / "proof").write_text(proof.text)
    (tmp_path / "forged").write_text(proof.text.replace(signed["note"].splitlines()[2], "A" * 44))
    (tmp_path / "verify.py").write_text(said_by(tmp_path, "-m", "maestro_audit_logger", "verifier")[1])

    def verify(*arguments: str) -> tuple[int, str]:
        return said_by(tmp_path, "-S", "verify.py", *arguments, "--key", "key")

    status, said = verify("data/audit/log", "--checkpoint", "kept")
    assert (status, said.splitlines()[0]) == (0, "sound: maestro-engine")
    assert "with 1 kept elsewhere" in said
    status, said = verify("proof")
    assert status == 0
    assert f'"object":"{workflow_id}"' in said
    assert verify("forged")[0] == 1
