"""`maestro tool`: the tools of a definition, pinned, and whether they are still what was pinned."""

import json
from pathlib import Path
from typing import Any

import pytest
from libraries.maestro_cli.command import maestro

from maestro_tools.testing import fake_server

DEFINITION: dict[str, Any] = {
    "name": "tools",
    "tools": {"demo": {**fake_server(), "lock": "maestro-tools.lock", "on_drift": "block"}},
    "steps": {"call": {"kind": "mcp", "with": {"server": "demo", "tool": "echo", "arguments": {"text": "hi"}}}},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "tools.json").write_text(json.dumps(DEFINITION))
    return tmp_path


def test_tools_are_listed(folder: Path) -> None:
    """As a table, and whole as JSON; a lock that is not there yet is no hindrance."""
    table = maestro("tool", "list", "tools.json", cwd=folder)
    assert table.returncode == 0, table.stderr
    assert table.stdout.startswith("source  tool")
    assert any(line.split()[:3] == ["demo", "echo", "text"] for line in table.stdout.splitlines())
    (echo,) = [
        each
        for each in json.loads(maestro("tool", "list", "tools.json", "--json", cwd=folder).stdout)
        if each["name"] == "echo"
    ]
    assert (echo["source"], len(echo["sha256"])) == ("demo", 64)


def test_what_has_changed_since_it_was_pinned_is_shown(folder: Path) -> None:
    """Exit 1 with the difference; pinning again accepts it; sources of other definitions stay in the lock."""
    missing = maestro("tool", "drift", "tools.json", cwd=folder)
    assert missing.returncode == 2
    assert "maestro tool pin" in missing.stderr
    pinned = maestro("tool", "pin", "tools.json", "--json", cwd=folder)
    assert pinned.returncode == 0, pinned.stderr
    assert json.loads(pinned.stdout)["lock"] == "maestro-tools.lock"
    assert maestro("tool", "drift", "tools.json", cwd=folder).returncode == 0
    lock = folder / "maestro-tools.lock"
    content = json.loads(lock.read_text())
    del content["sources"]["demo"]["echo"]
    content["sources"]["other"] = {}
    lock.write_text(json.dumps(content))
    drifted = maestro("tool", "drift", "tools.json", cwd=folder)
    assert drifted.returncode == 1
    assert "demo.echo was added" in drifted.stdout
    (found,) = json.loads(maestro("tool", "drift", "tools.json", "--json", cwd=folder).stdout)
    assert (found["tool"], found["kind"]) == ("echo", "added")
    again = maestro("tool", "pin", "tools.json", cwd=folder)
    assert "1 of them anew" in again.stdout
    assert maestro("tool", "drift", "tools.json", cwd=folder).returncode == 0


@pytest.mark.parametrize(
    ("change", "status", "complaint"),
    [
        ({"tools": None}, 2, "has no `tools`"),
        ({"tools": {"demo": {"mcp": {"command": []}}}}, 2, "/demo"),
        ({"tools": {"demo": {"mcp": {"command": ["no-such-program-anywhere"]}}}}, 1, "no-such-program-anywhere"),
        ({"tools": {"demo": {"mcp": {"command": ["${{ inputs.program }}"]}}}}, 2, "known only when a workflow runs"),
        ({"tools": {"demo": {"mcp": {"command": ["${{ secrets.PROGRAM }}"]}}}}, 2, "MAESTRO_SECRET_PROGRAM"),
    ],
)
def test_what_cannot_be_asked_is_told(folder: Path, change: dict[str, Any], status: int, complaint: str) -> None:
    """One message, no trace."""
    (folder / "tools.json").write_text(json.dumps({**DEFINITION, **change}))
    done = maestro("tool", "list", "tools.json", cwd=folder)
    assert (done.returncode, done.stdout) == (status, "")
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr


def test_a_secret_of_a_source_comes_from_the_environment(folder: Path) -> None:
    """As in `maestro run`; it is not printed."""
    source = fake_server(env={"TOKEN": "${{ secrets.TOKEN }}"})
    (folder / "tools.json").write_text(json.dumps({**DEFINITION, "tools": {"demo": source}}))
    done = maestro("tool", "list", "tools.json", "--json", cwd=folder, MAESTRO_SECRET_TOKEN="open-sesame")
    assert done.returncode == 0, done.stderr
    assert "open-sesame" not in done.stdout


def test_a_lock_that_is_none_is_refused(folder: Path) -> None:
    """Exit 2 with its path; it is not written over unseen."""
    (folder / "maestro-tools.lock").write_text("{}")
    for word in ("drift", "pin"):
        done = maestro("tool", word, "tools.json", cwd=folder)
        assert done.returncode == 2
        assert "is no lock of tools" in done.stderr
