"""The step kinds `python` and `sleep`."""

import asyncio
import math
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from maestro_workflow_engine import BadArguments, FunctionNotFound, Wait, builtin_step_kinds, plugin_step_kinds
from maestro_workflow_engine.testing import make_call

MODULE = textwrap.dedent("""
    import asyncio
    import contextvars
    import threading

    marker = contextvars.ContextVar("marker", default=None)
    started = threading.Event()

    def add(a, b=1):
        return a + b

    async def later(text):
        await asyncio.sleep(0)
        return text.upper()

    def where():
        return [threading.current_thread() is threading.main_thread(), marker.get()]

    def spoil(data):
        data["list"].append(9)
        return data

    def forever():
        started.set()
        threading.Event().wait()

    def stop():
        raise StopIteration

    class Holder:
        @staticmethod
        def inner():
            return "inner"

    not_callable = 3
    """)


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module of functions to call."""
    (tmp_path / "functions_for_steps.py").write_text(MODULE)
    (tmp_path / "broken_for_steps.py").write_text("raise RuntimeError('broken on purpose')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "functions_for_steps", raising=False)


async def call(folder: Path, function: object, **arguments: Any) -> Any:
    """Call a function of the module."""
    if isinstance(function, str) and ":" not in function:
        function = f"functions_for_steps:{function}"
    return await builtin_step_kinds()["python"].run(
        make_call(folder, {"function": function, "arguments": arguments} if arguments else {"function": function})
    )


async def test_functions_are_called_with_keywords(tmp_path: Path) -> None:
    """Plain ones, async ones, and those inside of classes."""
    assert await call(tmp_path, "add", a=1) == 2
    assert await call(tmp_path, "later", text="x") == "X"
    assert await call(tmp_path, "Holder.inner") == "inner"


async def test_plain_functions_run_in_a_thread_with_the_context_of_the_step(tmp_path: Path) -> None:
    """They block nobody."""
    await call(tmp_path, "Holder.inner")
    sys.modules["functions_for_steps"].marker.set("here")
    assert await call(tmp_path, "where") == [False, "here"]


async def test_a_function_gets_a_copy_of_its_arguments(tmp_path: Path) -> None:
    """What it does to them is its own affair."""
    data = {"list": [1]}
    assert await call(tmp_path, "spoil", data=data) == {"list": [1, 9]}
    assert data == {"list": [1]}


async def test_a_function_that_never_returns_can_be_left(tmp_path: Path) -> None:
    """Its step ends when it is stopped."""
    await call(tmp_path, "Holder.inner")
    running = asyncio.create_task(call(tmp_path, "forever"))
    await asyncio.to_thread(sys.modules["functions_for_steps"].started.wait, 10)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_an_odd_exception_is_passed_on(tmp_path: Path) -> None:
    """StopIteration too, which no future can carry."""
    with pytest.raises(RuntimeError, match="StopIteration"):
        await call(tmp_path, "stop")


@pytest.mark.parametrize(
    ("function", "arguments", "error", "said"),
    [
        ("no_such_module_here:f", {}, FunctionNotFound, "no_such_module_here cannot be imported: ModuleNotFoundError"),
        ("broken_for_steps:f", {}, FunctionNotFound, "broken on purpose"),
        ("nothing", {}, FunctionNotFound, "has no function 'nothing'"),
        ("not_callable", {}, FunctionNotFound, "has no function 'not_callable'"),
        ("add", {"c": 1}, BadArguments, "do not fit functions_for_steps:add: .*'a'"),
        ("os;system:x", {}, BadArguments, "package.module:name"),
        (7, {}, BadArguments, "package.module:name"),
    ],
)
async def test_what_cannot_be_called_is_not_retried(
    tmp_path: Path, function: object, arguments: dict[str, Any], error: type[Exception], said: str
) -> None:
    """The error says what is missing."""
    with pytest.raises(error, match=said) as caught:
        await call(tmp_path, function, **arguments)
    assert not getattr(caught.value, "retryable", True)


def test_python_checks_find_what_can_be_known_before_a_run() -> None:
    """Without importing anything."""
    kind = builtin_step_kinds()["python"]
    assert dict(kind.check({"function": "no colon", "arguments": [1], "args": 1}, {})).keys() == {
        "/function",
        "/arguments",
        "/args",
    }
    assert dict(kind.check({}, {})).keys() == {""}
    assert list(kind.check({"function": "${{ inputs.f }}", "arguments": "${{ inputs.a }}"}, {})) == []


async def test_sleep_waits_first_and_ends_when_it_was_due(tmp_path: Path) -> None:
    """The first call asks for time, the second is the end."""
    kind = builtin_step_kinds()["sleep"]
    assert await kind.run(make_call(tmp_path, {"seconds": 90})) == Wait(90.0)
    due = make_call(tmp_path, {"seconds": 90}, due_at=datetime(2026, 1, 1, tzinfo=UTC))
    assert await kind.run(due) == {"seconds": 90}


@pytest.mark.parametrize("seconds", [-1, "soon", None, True, math.inf, math.nan, 1e12])
async def test_sleep_refuses_what_is_no_time(tmp_path: Path, seconds: object) -> None:
    """Before a run and in it."""
    kind = builtin_step_kinds()["sleep"]
    assert [path for path, _ in kind.check({"seconds": seconds}, {})] == ["/seconds"]
    with pytest.raises(BadArguments, match="/with/seconds"):
        await kind.run(make_call(tmp_path, {"seconds": seconds}))


def test_sleep_checks_its_arguments() -> None:
    """What is missing, unknown, or known only in a run."""
    kind = builtin_step_kinds()["sleep"]
    assert dict(kind.check({"second": 1}, {})).keys() == {"", "/second"}
    assert list(kind.check({"seconds": "${{ inputs.s }}"}, {})) == []


def test_kinds_are_found_by_name() -> None:
    """The built-in ones, anew at each call; those of other wheels by entry point."""
    names = "approval event http python shell signal sleep workflow"
    assert sorted(builtin_step_kinds()) == names.split()
    assert builtin_step_kinds()["shell"] is not builtin_step_kinds()["shell"]
    assert all(hasattr(kind, "run") for kind in plugin_step_kinds().values())
