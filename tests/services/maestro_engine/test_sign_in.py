"""Signing in, from the first admin on: as a person does it on a new machine, with a process of its own."""

import asyncio
import json
import socket
import sqlite3
import stat
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from services.maestro_engine.process import EngineProcess, make_admin
from services.maestro_engine.running import StartEngine, bearer, one_step, received
from websockets.asyncio.client import ClientConnection

from maestro_engine.command import main

FOLLOW = json.dumps({"type": "subscribe", "from_position": 0})


def authentication(key: str) -> str:
    return json.dumps({"type": "authenticate", "token": key})


async def close_of(opened: ClientConnection) -> tuple[int | None, str | None]:
    await asyncio.wait_for(opened.wait_closed(), 20)
    return opened.close_code, opened.close_reason


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("signed") / "data"


@pytest.fixture(scope="module")
def admin_key(data_dir: Path) -> str:
    """The key that `init-admin` has printed."""
    made = make_admin(data_dir)
    assert (made.returncode, len(made.stdout.splitlines())) == (0, 1), made.stderr
    return made.stdout.strip()


@pytest.fixture(scope="module")
def guarded(data_dir: Path, admin_key: str) -> Iterator[EngineProcess]:
    """An engine that listens beyond loopback."""
    engine = EngineProcess(data_dir, "--host", "0.0.0.0", "--port", "0")
    yield engine
    engine.kill()


def answer_of(engine: EngineProcess, path: str, key: str | None = None) -> tuple[int, Any]:
    """Status and body; beyond loopback an engine is asked by an address of this machine all the same."""
    url = engine.url.replace("0.0.0.0", "127.0.0.1")
    request = urllib.request.Request(url + path, headers=bearer(key) if key else {})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def test_the_first_admin_is_made_once(data_dir: Path, admin_key: str) -> None:
    """The key alone goes to stdout, for scripts; a second time is refused, and `--again` gives one more."""
    assert admin_key.startswith("mst_")
    twice = make_admin(data_dir)
    assert (twice.returncode, twice.stdout) == (1, "")
    assert "there is an admin already: admin" in twice.stderr
    assert "--again" in twice.stderr
    again = make_admin(data_dir, "--again")
    assert again.returncode == 0
    assert again.stdout.strip() not in ("", admin_key)
    assert stat.S_IMODE((data_dir / "users.db").stat().st_mode) == 0o600
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700


def test_the_key_opens_an_engine_beyond_loopback(guarded: EngineProcess, admin_key: str) -> None:
    """It says that callers sign in; with the key it answers, without it or with a wrong one it is 401."""
    assert "with API keys" in guarded.line_with("sign-in")
    assert answer_of(guarded, "/api/access/me", admin_key)[1]["subject"] == "admin"
    for wrong in (None, admin_key[:-1] + "x", "nonsense"):
        for path in ("/api/access/me", "/api/workflows", "/metrics"):
            status, problem = answer_of(guarded, path, wrong)
            assert (status, problem["status"]) == (401, 401)
    assert answer_of(guarded, "/api/health/live")[0] == 200


def test_a_key_made_while_the_engine_runs_is_good_at_once(
    guarded: EngineProcess, data_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who has lost the last key gets one on the machine itself, without a restart."""
    assert main(["--data-dir", str(data_dir), "init-admin", "--name", "second", "--again"]) == 0
    secret = capsys.readouterr().out.strip()
    assert answer_of(guarded, "/api/access/me", secret)[1]["subject"] == "second"


@pytest.mark.parametrize("name", ["engine", "Anonymous", "a b", "", "x" * 300])
def test_an_admin_needs_a_name_that_can_be_one(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """One message, exit 1, and no user: the first admin can still be made."""
    words = ["--data-dir", str(tmp_path / "data"), "init-admin"]
    assert main([*words, "--name", name]) == 1
    said = capsys.readouterr()
    assert (said.out, len(said.err.splitlines())) == ("", 1)
    assert said.err.startswith("maestro-engine: ")
    assert main(words) == 0


def test_users_of_a_newer_version_are_left_alone(tmp_path: Path, started: list[EngineProcess]) -> None:
    """The engine does not start on a users.db that it cannot read, and says which version it is."""
    assert main(["--data-dir", str(tmp_path), "init-admin"]) == 0
    with sqlite3.connect(tmp_path / "users.db") as users:
        users.execute("PRAGMA user_version = 99")
    users.close()
    before = (tmp_path / "users.db").read_bytes()
    engine = EngineProcess(tmp_path, "--port", "0", MAESTRO_ENGINE_AUTH="on")
    started.append(engine)
    assert engine.ended() == 1
    assert "is a store of version 99" in engine.line_with("users.db")
    assert not any("Traceback" in line for line in engine.lines)
    assert (tmp_path / "users.db").read_bytes() == before


def test_a_users_file_that_is_none_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A folder in its place, for one: exit 1 with its path and no trace."""
    (tmp_path / "users.db").mkdir()
    assert main(["--data-dir", str(tmp_path), "init-admin"]) == 1
    assert "users.db cannot be opened" in capsys.readouterr().err


async def test_a_socket_signs_in_by_its_header(start_engine: StartEngine) -> None:
    """A program has the header; a viewer may follow."""
    async with start_engine(auth="on") as engine:
        viewer = await engine.add_user("ana", "viewer")
        workflow_id = await engine.start(one_step())
        async with engine.socket(additional_headers=bearer(viewer)) as opened:
            await opened.send(FOLLOW)
            assert (await received(opened))["type"] == "feed.subscribed"
            assert (await received(opened))["workflow_id"] == workflow_id


async def test_a_socket_signs_in_by_its_first_message(start_engine: StartEngine) -> None:
    """As a browser has to; what follows is read as ever."""
    async with start_engine(auth="on") as engine:
        viewer = await engine.add_user("ana", "viewer")
        async with engine.socket() as opened:
            await opened.send(authentication(viewer))
            await opened.send(FOLLOW)
            assert (await received(opened))["type"] == "feed.subscribed"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (authentication("mst_wrong"), "auth.invalid-credentials"),
        (FOLLOW, "auth.invalid-credentials"),
        ("{", "auth.invalid-credentials"),
        (b"\x00", "auth.invalid-credentials"),
        (json.dumps({"type": "authenticate", "token": "x" * 9000}), "auth.invalid-credentials"),
    ],
)
async def test_a_socket_with_a_wrong_first_message_is_closed(
    start_engine: StartEngine, message: str | bytes, reason: str
) -> None:
    """4401, and nothing was told before."""
    async with start_engine(auth="on") as engine, engine.socket() as opened:
        await opened.send(message)
        assert await close_of(opened) == (4401, reason)
        refusal = (await engine.entries(outcome="denied"))[0]
        assert (refusal["actor"], refusal["action"], refusal["details"]["status"]) == ("anonymous", "WS /ws", 4401)


async def test_a_wrong_header_is_not_made_good_by_a_message(start_engine: StartEngine) -> None:
    """The header that is there is the one that counts."""
    async with start_engine(auth="on") as engine, engine.socket(additional_headers=bearer("mst_wrong")) as opened:
        assert await close_of(opened) == (4401, "auth.invalid-credentials")


async def test_who_says_nothing_is_not_waited_for(start_engine: StartEngine) -> None:
    """4401 when the time is up; meanwhile it takes no place from those who are in."""
    async with start_engine(auth="on", max_readers=1, first_message_timeout_s=0.3) as engine:
        viewer = bearer(await engine.add_user("ana", "viewer"))
        async with engine.socket() as silent, engine.socket(additional_headers=viewer) as opened:
            await opened.send(FOLLOW)
            assert (await received(opened))["type"] == "feed.subscribed"
            assert await close_of(silent) == (4401, "auth.missing-credentials")


async def test_silent_sockets_are_bounded_and_do_not_hold_up_the_end(start_engine: StartEngine) -> None:
    """Fifty wait at the door, the next is told to come back; when the engine stops they are told so."""
    async with start_engine(auth="on", max_readers=1, first_message_timeout_s=60.0) as engine:
        waiting = [await engine.socket() for _ in range(50)]
        async with engine.socket() as beyond:
            assert (await close_of(beyond))[0] == 1013
        engine.app.drainer.stopping.set()
        assert {(await close_of(each))[0] for each in waiting} == {1001}


async def test_a_client_that_leaves_at_the_door_leaves_no_trace_in_the_log(
    start_engine: StartEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever looks for open ports is nobody's fault."""
    async with start_engine(auth="on") as engine:
        opened = await engine.socket()
        opened.transport.abort()
        async with engine.socket() as polite:
            await polite.close()
        await engine.http.get("/api/health/live")
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_stream_is_for_who_may_read(start_engine: StartEngine) -> None:
    """Server-sent events need the key as everything else."""
    async with start_engine(auth="on") as engine:
        viewer = bearer(await engine.add_user("ana", "viewer"))
        path = f"/api/workflows/{await engine.start(one_step())}/events"
        accept = {"Accept": "text/event-stream"}
        async with engine.http.stream("GET", path, headers={**accept, **viewer}) as stream:
            lines = [line async for line in stream.aiter_lines()]
        assert "event: workflow.succeeded" in lines
        refused = await engine.http.get(path, headers={**accept, **bearer("mst_wrong")})
        assert (refused.status_code, refused.json()["code"]) == (401, "auth.invalid-credentials")


def test_an_address_of_version_6_works(tmp_path: Path, started: list[EngineProcess]) -> None:
    """`--host ::1` is loopback: nobody signs in, and the greeting has an address that can be typed."""
    if not socket.has_ipv6:
        raise AssertionError("this machine has no IPv6, which these tests need")
    engine = EngineProcess(tmp_path, "--host", "::1", "--port", "0")
    started.append(engine)
    assert engine.url.startswith("http://[::1]:")
    assert engine.ask("/api/access/me")["subject"] == "local"
