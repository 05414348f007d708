"""The audit log through crashes, restarts, full disks and damage."""

import asyncio
import errno
import stat
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from services.maestro_engine.process import EngineProcess
from services.maestro_engine.running import Engine, StartEngine, bearer, one_step

from kit.processes import Signal
from maestro_audit_logger import AuditReader, Entry, NoteKey, check_log
from maestro_audit_logger.signing import Ed25519Signer
from maestro_audit_logger.testing import Disk
from maestro_core_api import CannotServe
from maestro_engine.audit.errors import SigningKeyMissing
from maestro_engine.command import main
from maestro_engine.parts import open_parts
from maestro_engine.settings import EngineSettings
from maestro_workflow_engine.testing import ScriptedKind

SHELL = {"name": "one", "steps": {"a": {"kind": "shell", "with": {"command": "true"}}}}


def key_of(data: Path) -> NoteKey:
    return Ed25519Signer.from_pem("maestro-engine", (data / "audit" / "signing-key.pem").read_bytes()).note_key


def sound_entries(data: Path) -> list[Entry]:
    """Every entry of a log that was verified with its key."""
    report = check_log(data / "audit" / "log", keys=[key_of(data)])
    assert report.sound, report.problems
    return list(AuditReader(data / "audit" / "log").query())


def lifecycle(entries: list[Entry]) -> Counter[tuple[str, str]]:
    return Counter((entry.object, entry.action) for entry in entries if entry.actor == "engine")


def test_an_answered_command_is_in_the_log_whatever_happens_next(tmp_path: Path, started: list[EngineProcess]) -> None:
    """SIGKILL right after the answer: the log is sound, signed, and has the entry."""
    engine = EngineProcess(tmp_path, "--port", "0")
    started.append(engine)
    ids = [engine.ask("/api/workflows", {"definition": SHELL})["id"] for _ in range(3)]
    engine.process.kill()
    engine.ended()
    commands = [entry.object for entry in sound_entries(tmp_path) if entry.action == "workflow.start"]
    assert commands == ids


@pytest.mark.parametrize("synchronous", ["FULL", "NORMAL"])
def test_what_became_of_a_workflow_is_told_exactly_once(
    tmp_path: Path, started: list[EngineProcess], waiting: Signal, synchronous: str
) -> None:
    """Over SIGKILL in the middle, a clean stop and a third start: each start and end has one entry."""
    held = {
        "kind": "shell",
        "with": {"command": f"echo > {tmp_path}/waiting; until test -f {tmp_path}/go; do sleep 0.1; done"},
    }
    data, ids = tmp_path / "data", []
    for way in ("kill", "stop", "look"):
        engine = EngineProcess(data, "--port", "0", MAESTRO_ENGINE_SYNCHRONOUS=synchronous, MAESTRO_ENGINE_DRAIN_S="0")
        started.append(engine)
        if way != "look":
            ids += [engine.ask("/api/workflows", {"definition": SHELL})["id"] for _ in range(3)]
            ids.append(engine.ask("/api/workflows", {"definition": {"name": "held", "steps": {"a": held}}})["id"])
            waiting.wait()
        else:
            (tmp_path / "go").touch()
            for workflow_id in ids:
                assert engine.event_of(workflow_id, "workflow.")["type"] == "workflow.succeeded"
        engine.process.kill() if way == "kill" else engine.process.terminate()
        assert engine.ended() in (0, -9)
    expected = {(each, action): 1 for each in ids for action in ("workflow.started", "workflow.succeeded")}
    assert lifecycle(sound_entries(data)) == expected


async def test_an_end_within_the_drain_time_is_told_before_the_engine_leaves(
    start_engine: StartEngine, tmp_path: Path
) -> None:
    """The log does not close before those who write to it."""
    async with start_engine(drain_s=10.0) as engine:
        workflow_id = await engine.start(one_step("gate"))
        await engine.gate.arrival()
        engine.gate.open()
    assert lifecycle(sound_entries(tmp_path / "data"))[workflow_id, "workflow.started"] == 1
    async with start_engine() as engine:
        state = await engine.backend.get(workflow_id)
        if not state.is_finished:
            await engine.backend.wait(workflow_id, 10)
    told = lifecycle(sound_entries(tmp_path / "data"))
    assert {told[workflow_id, action] for action in ("workflow.started", "workflow.succeeded")} == {1}


async def ready(engine: Engine) -> dict[str, Any]:
    """The checks by name, once their kept results have aged."""
    answer = await engine.http.get("/api/health/ready")
    checks: dict[str, Any] = answer.json()["report"]["checks"]
    return checks


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """A disk that takes no entry while the list holds something."""
    full: list[bool] = []
    write = Disk.write

    def refused(self: Disk, file: int, data: bytes) -> None:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, file, data)

    monkeypatch.setattr(Disk, "write", refused)
    return full


async def test_a_full_disk_stops_commands_and_lets_nobody_repeat_them(
    start_engine: StartEngine, full_disk: list[bool]
) -> None:
    """The one that was done says so, the next are refused before they do anything; then the log catches up."""
    async with start_engine(auth="on") as engine:
        full_disk.append(True)
        done = await engine.http.post("/api/workflows", json={"definition": one_step("gate")})
        assert (done.status_code, done.json()["code"]) == (500, "engine.not-accounted-for")
        assert "do not repeat it" in done.json()["detail"]
        assert "retry-after" not in done.headers
        for _ in range(3):
            later = await engine.http.post("/api/workflows", json={"definition": one_step()})
            assert (later.status_code, later.json()["code"]) == (503, "audit.append-failed")
            assert later.headers["retry-after"]
        page = (await engine.http.get("/api/workflows")).json()["items"]
        assert len(page) == 1
        refused = await engine.http.get("/api/workflows", headers=bearer("mst_wrong"))
        assert refused.status_code == 401
        assert (await ready(engine))["audit"]["status"] == "fail"
        full_disk.clear()
        after = await engine.http.post("/api/workflows", json={"definition": one_step()})
        assert after.status_code == 201
        commands = await engine.entries(action="workflow.start")
        assert [each["object"] for each in commands] == [after.json()["id"], page[0]["id"]]


async def test_a_log_that_no_command_is_owed_to_tells_that_it_goes_on(
    start_engine: StartEngine, full_disk: list[bool]
) -> None:
    """A refusal that met the full disk is only logged; the next command finds out that the disk works again."""
    async with start_engine(auth="on") as engine:
        full_disk.append(True)
        await engine.http.get("/api/workflows", headers=bearer("mst_wrong"))
        assert (await engine.http.post("/api/access/keys", json={})).status_code == 503
        full_disk.clear()
        assert (await engine.http.post("/api/access/keys", json={})).status_code == 201
        newest = await engine.entries()
        assert [each["action"] for each in newest[:2]] == ["key.issue", "trail.resume"]
        assert newest[1]["details"] == {"after": "audit.append-failed"}


async def test_what_was_not_told_of_workflows_is_told_when_the_disk_works_again(
    start_engine: StartEngine, full_disk: list[bool]
) -> None:
    """Nothing is left out or told twice, and meanwhile the engine is not ready."""
    async with start_engine() as engine:
        workflow_id = await engine.start(one_step("gate"))
        await engine.gate.arrival()
        full_disk.append(True)
        engine.gate.open()
        await engine.backend.wait(workflow_id, 10)
        async with asyncio.timeout(20):
            while (await ready(engine))["audit"]["status"] != "fail":
                continue
        full_disk.clear()
        async with asyncio.timeout(20):
            while len(told := await engine.entries(actor="engine", object=workflow_id)) < 2:
                continue
        assert [each["action"] for each in told] == ["workflow.succeeded", "workflow.started"]
        async with asyncio.timeout(20):
            while (await ready(engine))["audit"]["status"] != "pass":
                continue


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("audit/log/segments/0000000000000000.jsonl", "not what was signed"),
        ("audit/log/checkpoint", "checkpoint"),
        ("audit/signing-key.pem", "signing key"),
    ],
)
async def test_a_damaged_log_is_not_written_on(
    start_engine: StartEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str], file: str, text: str
) -> None:
    """The start is refused with one message that names what is wrong, and the evidence is left as it is."""
    async with start_engine() as engine:
        await engine.backend.wait(await engine.start(one_step()), 10)
    path = tmp_path / "data" / file
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    status = await asyncio.to_thread(main, ["--data-dir", str(tmp_path / "data"), "--port", "0"])
    said = capsys.readouterr().err
    assert (status, said.startswith("maestro-engine: ")) == (1, True), said
    assert "Traceback" not in said
    assert path.read_bytes() == bytes(content)


async def test_a_log_without_its_key_is_not_written_on(
    start_engine: StartEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A new key would make another log of it: exit 1, and no key is made."""
    async with start_engine() as engine:
        await engine.start(one_step())
    key = tmp_path / "data" / "audit" / "signing-key.pem"
    key.unlink()
    status = await asyncio.to_thread(main, ["--data-dir", str(tmp_path / "data"), "--port", "0"])
    assert (status, str(key) in capsys.readouterr().err) == (1, True)
    assert not key.exists()


async def test_nothing_runs_while_the_start_is_refused(start_engine: StartEngine, tmp_path: Path) -> None:
    """What is unfinished goes on only when account of it is kept, and somebody can sign in."""
    async with start_engine() as engine:
        await engine.start(one_step("gate"))
        await engine.gate.arrival()
    kind = ScriptedKind()
    with pytest.raises(CannotServe, match="init-admin"):
        async with open_parts(EngineSettings(data_dir=tmp_path / "data", auth="on"), {"gate": kind}):
            raise AssertionError("it was opened without an admin")
    (tmp_path / "data" / "audit" / "signing-key.pem").unlink()
    with pytest.raises(SigningKeyMissing):
        async with open_parts(EngineSettings(data_dir=tmp_path / "data"), {"gate": kind}):
            raise AssertionError("it was opened without the key of its log")
    assert kind.calls == []


async def test_only_the_owner_reads_the_data(start_engine: StartEngine, tmp_path: Path) -> None:
    """The data folder is 0700, and what holds secrets is 0600 besides, for those who put it into a folder of theirs."""
    async with start_engine(auth="on") as engine:
        await engine.backend.wait(await engine.start(one_step("artifact")), 10)
        data = tmp_path / "data"
        open_to_others = [
            path.relative_to(tmp_path)
            for path in (data, data / "audit", *data.glob("users.db*"), *(data / "audit").rglob("*"))
            if stat.S_IMODE(path.stat().st_mode) & 0o077
        ]
    assert open_to_others == []
