"""Large and long things."""

from pathlib import Path
from typing import Any

import pytest

from maestro_workflow_engine import ArtifactRef, EmbeddedBackend, builtin_step_kinds, parse_definition
from maestro_workflow_engine.testing import ScriptedKind


async def test_ten_thousand_steps(tmp_path: Path) -> None:
    """A hundred chains of a hundred steps and a join: each step runs once, and all of them end."""
    steps: dict[str, Any] = {
        f"s{column}-{row}": {"kind": "test", "needs": [f"s{column}-{row - 1}"] if row else []}
        for row in range(100)
        for column in range(100)
    }
    steps["join"] = {"kind": "test", "needs": [f"s{column}-99" for column in range(100)]}
    kind = ScriptedKind()
    async with EmbeddedBackend(tmp_path, kinds={"test": kind}) as backend:
        started = await backend.start(parse_definition({"name": "many", "steps": steps}))
        state = await backend.wait(started.workflow_id, 50)
    assert state.status == "succeeded"
    assert len(kind.calls) == len({call.step_id for call in kind.calls}) == 10_001
    assert kind.calls[-1].step_id == "join"


async def test_a_map_over_many_items(tmp_path: Path) -> None:
    """Five thousand items with a limit, and the result is in their order."""
    step = {
        "kind": "test",
        "map": {"items": "${{ range(5000) }}", "max_parallel": 40},
        "with": {"x": "${{ item }}"},
    }
    definition = parse_definition({"name": "wide", "steps": {"m": step}, "outputs": {"all": "${{ steps.m.output }}"}})
    async with EmbeddedBackend(tmp_path, kinds={"test": ScriptedKind(lambda call: call.arguments["x"])}) as backend:
        started = await backend.start(definition)
        state = await backend.wait(started.workflow_id, 50)
    assert state.steps["m"].output == list(range(5000))


async def test_an_output_of_fifty_megabytes(tmp_path: Path) -> None:
    """It lies beside the journal, which stays small, and the next step takes what it needs of it."""
    size = 50 * 1024 * 1024
    steps = {
        "big": {"kind": "big"},
        "part": {"kind": "echo", "with": {"n": "${{ steps.big.output.n }}"}},
    }
    kinds = {"big": ScriptedKind(lambda call: {"n": 3, "text": "x" * size}), "echo": ScriptedKind()}
    async with EmbeddedBackend(tmp_path, kinds=kinds) as backend:
        started = await backend.start(parse_definition({"name": "big", "steps": steps}))
        state = await backend.wait(started.workflow_id, 50)
        output = state.steps["big"].output
        assert isinstance(output, ArtifactRef)
        assert output.size_bytes > size
        assert state.steps["part"].output == {"n": 3}
        assert size_of(await backend.artifact(output.sha256)) == output.size_bytes
        journal_bytes = sum(size_of(tmp_path / name) for name in ("journal.db", "journal.db-wal"))
    assert journal_bytes < 500_000


def size_of(file: Path) -> int:
    """Bytes in a file."""
    return file.stat().st_size


async def test_steps_that_never_return_end_at_their_timeout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command and a function, by the clock of the machine; their place is free again."""
    (tmp_path / "never_returning.py").write_text("import threading\ndef wait():\n    threading.Event().wait()\n")
    monkeypatch.syspath_prepend(tmp_path)
    steps: list[dict[str, Any]] = [
        {"kind": "shell", "with": {"command": "sleep 1000"}},
        {"kind": "python", "with": {"function": "never_returning:wait"}},
    ]
    async with EmbeddedBackend(tmp_path / "data", kinds=builtin_step_kinds(), max_parallel=1) as backend:
        for step in steps:
            definition = parse_definition({"name": "never", "steps": {"a": {**step, "timeout_s": 0.1}}})
            started = await backend.start(definition)
            state = await backend.wait(started.workflow_id, 20)
            assert state.error is not None
            assert state.error["code"] == "workflow.step-timed-out"
