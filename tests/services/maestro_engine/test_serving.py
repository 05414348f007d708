"""The process: one command starts it, a signal ends it, a crash loses nothing."""

import json
import signal
import socket
import sqlite3
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from services.maestro_engine.process import EngineProcess

from kit.processes import Signal

SLEEPER = """
name: sleeper
steps:
  first: {kind: shell, with: {command: "echo ran >> %(log)s"}}
  second:
    kind: shell
    needs: [first]
    with: {command: "echo ran >> %(log)s2; echo > %(waiting)s; until test -f %(go)s; do sleep 0.1; done"}
  third: {kind: shell, needs: [second], with: {command: "echo ran >> %(log)s3"}}
"""


def sleeper(folder: Path) -> str:
    return SLEEPER % {"log": folder / "log", "go": folder / "go", "waiting": folder / "waiting"}


def journal_of(process: EngineProcess, workflow_id: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = process.ask(f"/api/workflows/{workflow_id}/events?limit=1000")["items"]
    return events


def test_it_says_once_where_it_is_and_ends_cleanly_on_a_signal(tmp_path: Path, started: list[EngineProcess]) -> None:
    """The greeting names the address, the docs and the folder; SIGTERM ends it with 0."""
    engine = EngineProcess(tmp_path / "elsewhere" / "..", "--port", "0")
    started.append(engine)
    engine.line_with("data in")
    engine.line_with("sign-in")
    assert engine.lines[:4] == [
        f"Maestro engine on {engine.url}",
        f"  API docs  {engine.url}/api/docs",
        f"  data in   {tmp_path}",
        "  sign-in   off: only programs of this machine can call",
    ]
    assert engine.ask("/api/health/ready")["ready"] is True
    engine.process.send_signal(signal.SIGTERM)
    assert engine.ended() == 0
    assert len([line for line in engine.lines if "Maestro engine on" in line]) == 1


def test_a_killed_engine_goes_on_where_it_was(tmp_path: Path, started: list[EngineProcess], waiting: Signal) -> None:
    """After SIGKILL the finished step is not repeated, the one in flight is, and a reader resumes without a gap."""
    first = EngineProcess(tmp_path / "data", "--port", "0")
    started.append(first)
    workflow_id = first.ask("/api/workflows", {"definition": sleeper(tmp_path)})["id"]
    waiting.wait()
    before = journal_of(first, workflow_id)
    first.process.kill()
    first.ended()
    (tmp_path / "go").touch()

    second = EngineProcess(tmp_path / "data", "--port", "0")
    started.append(second)
    second.line_with("Going on with 1 unfinished workflow.")
    stream = urllib.request.Request(
        f"{second.url}/api/workflows/{workflow_id}/events",
        headers={"Accept": "text/event-stream", "Last-Event-ID": str(before[-1]["seq"])},
    )
    with urllib.request.urlopen(stream, timeout=30) as answer:
        data = [json.loads(line[6:]) for line in answer.read().decode().splitlines() if line.startswith("data: ")]
    assert [each["seq"] for each in before + data] == list(range(1, len(before + data) + 1))
    assert data[-1]["type"] == "workflow.succeeded"
    assert before + data == journal_of(second, workflow_id)
    assert (tmp_path / "log").read_text() == "ran\n"
    assert (tmp_path / "log2").read_text() == "ran\nran\n"
    assert (tmp_path / "log3").read_text() == "ran\n"


def test_a_second_signal_ends_it_at_once_and_leaves_the_work_resumable(
    tmp_path: Path, started: list[EngineProcess], waiting: Signal
) -> None:
    """While a step of a minute runs, the first Ctrl-C waits for it, the second does not; 130 says so."""
    engine = EngineProcess(tmp_path / "data", "--port", "0", MAESTRO_ENGINE_DRAIN_S="60")
    started.append(engine)
    workflow_id = engine.ask("/api/workflows", {"definition": sleeper(tmp_path)})["id"]
    waiting.wait()
    engine.process.send_signal(signal.SIGINT)
    engine.line_with("Stopping")
    engine.process.send_signal(signal.SIGINT)
    assert engine.ended() == 130
    engine.kill()
    assert not [line for line in engine.lines if "Traceback" in line or "Error" in line]
    (tmp_path / "go").touch()
    again = EngineProcess(tmp_path / "data", "--port", "0")
    started.append(again)
    again.line_with("Going on with 1 unfinished workflow.")
    assert again.event_of(workflow_id, "workflow.")["type"] == "workflow.succeeded"


def test_a_stop_closes_streams_and_waits_for_running_steps(
    tmp_path: Path, started: list[EngineProcess], waiting: Signal
) -> None:
    """A step that ends within the drain time is kept; an open stream does not hold the engine up."""
    engine = EngineProcess(tmp_path / "data", "--port", "0")
    started.append(engine)
    workflow_id = engine.ask(
        "/api/workflows", {"definition": sleeper(tmp_path).replace("until test -f", "sleep 1; until true || test -f")}
    )["id"]
    waiting.wait()
    request = urllib.request.Request(
        f"{engine.url}/api/workflows/{workflow_id}/events", headers={"Accept": "text/event-stream"}
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        answer.readline()
        engine.process.send_signal(signal.SIGTERM)
        answer.read()
    assert engine.ended() == 0
    with sqlite3.connect(tmp_path / "data" / "journal.db") as journal:
        (status,) = journal.execute("SELECT status FROM workflows").fetchone()
    journal.close()
    assert status == "running"
    assert not (tmp_path / "log3").exists()


def test_a_port_in_use_is_named_with_what_to_do(tmp_path: Path, started: list[EngineProcess]) -> None:
    """Exit 1, the port, and how to take another; the data folder is not even touched."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        engine = EngineProcess(tmp_path / "data", "--port", str(port))
        started.append(engine)
        assert engine.ended() == 1
    assert f"port {port} on 127.0.0.1 is in use" in engine.line_with("in use")
    assert "another port" in engine.line_with("in use")
    assert not (tmp_path / "data").exists()


def test_a_second_engine_on_one_folder_is_refused_by_name(tmp_path: Path, started: list[EngineProcess]) -> None:
    """Exit 1, the process that holds it, and what to do; the first goes on."""
    first = EngineProcess(tmp_path, "--port", "0")
    started.append(first)
    first.line_with("Maestro engine on")
    second = EngineProcess(tmp_path, "--port", "0")
    started.append(second)
    assert second.ended() == 1
    assert str(first.process.pid) in second.line_with(str(tmp_path))
    assert first.ask("/api/health/ready")["ready"] is True


@pytest.mark.parametrize(
    ("arguments", "environment", "status", "text"),
    [
        (["--host", "0.0.0.0", "--port", "0"], {}, 1, "maestro-engine init-admin"),
        (["--host", "::", "--port", "0"], {}, 1, "maestro-engine init-admin"),
        (["--port", "0"], {"MAESTRO_ENGINE_AUTH": "on"}, 1, "maestro-engine init-admin"),
        (["--host", "0.0.0.0"], {"MAESTRO_ENGINE_AUTH": "off"}, 1, "run commands here"),
        (["--host", "no.such.host.invalid"], {}, 1, "cannot listen on"),
        (["--port", "70000"], {}, 2, "[--port]"),
        ([], {"MAESTRO_ENGINE_PROT": "1"}, 2, "MAESTRO_ENGINE_PROT"),
        (["--config", "/nowhere.toml"], {}, 2, "/nowhere.toml"),
    ],
)
def test_what_cannot_be_served_is_refused_clearly(
    tmp_path: Path,
    started: list[EngineProcess],
    arguments: list[str],
    environment: dict[str, str],
    status: int,
    text: str,
) -> None:
    """One message, no trace, and the exit status says whether the settings or the machine is at fault."""
    engine = EngineProcess(tmp_path / "data", *arguments, **environment)
    started.append(engine)
    assert engine.ended() == status
    engine.line_with(text)
    assert not any("Traceback" in line for line in engine.lines)
