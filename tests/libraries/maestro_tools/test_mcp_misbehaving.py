"""Servers that die, hang, lie and flood: each a real process, each a clear error, none left behind."""

import asyncio
import os
import time
from pathlib import Path
from typing import Any

import pytest

from maestro_tools import (
    ResultTooLarge,
    ServerMisbehaved,
    ServerUnavailable,
    ToolCatalogue,
    ToolFailed,
    ToolsError,
    ToolTimedOut,
)
from maestro_tools.testing import fake_server


def serving(behaviour: str = "good", **config: Any) -> ToolCatalogue:
    return ToolCatalogue({"fake": fake_server(behaviour, **config)})


async def failure(behaviour: str, **config: Any) -> ToolsError:
    async with serving(behaviour, **config) as tools, asyncio.timeout(20):
        with pytest.raises(ToolsError) as caught:
            await tools.list_tools()
    return caught.value


async def test_death_at_start_is_told_with_its_last_words() -> None:
    """The exit code and the end of stderr, without the secret that it repeats."""
    error = await failure("dies-at-start", env={"SECRET": "hunter2hunter2"})
    assert isinstance(error, ServerUnavailable)
    assert error.retryable
    assert str(error) == "fake exited with code 3; stderr: cannot start: the key *** is refused"


async def test_secret_passed_on_from_our_environment_is_masked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """`pass_env` hands on secrets as `env` does."""
    monkeypatch.setenv("SECRET", "hunter2hunter2")
    assert "the key *** is refused" in str(await failure("dies-at-start", pass_env=["SECRET"]))
    assert "the key (none) is refused" in str(await failure("dies-at-start"))


async def test_server_that_dies_of_the_new_question_is_asked_in_the_old_way() -> None:
    """And the era is remembered: the next start asks in the old way at once."""
    async with serving("dies-at-probe") as tools:
        first = (await tools.call("fake", "about")).value["pid"]
        with pytest.raises(ServerUnavailable):
            await tools.call("fake", "die")
        second = (await tools.call("fake", "about")).value["pid"]
    assert first != second


async def test_silent_server_is_given_up() -> None:
    """At the end of `startup_timeout_s`."""
    error = await failure("silent", startup_timeout_s=0.3)
    assert isinstance(error, ServerUnavailable)
    assert str(error) == "fake did not answer within 0.3 s of its start"


async def test_garbage_on_stdout_ends_the_server() -> None:
    """With its first words in the error."""
    error = await failure("garbage")
    assert isinstance(error, ServerMisbehaved)
    assert not error.retryable
    assert "was stopped after 101 lines without a message" in str(error)
    assert "I am not JSON at all" in str(error)


async def test_a_little_chatter_is_forgiven() -> None:
    """Many servers greet before they speak."""
    async with serving("chatter") as tools:
        assert (await tools.call("fake", "echo", {"text": "x"})).value == {"text": "x"}


@pytest.mark.parametrize("size_bytes", [1024, 1024 * 1024])
async def test_flood_without_a_line_ends_the_server(size_bytes: int) -> None:
    """No more is kept than one message may have."""
    error = await failure("flood", max_result_bytes=size_bytes)
    assert isinstance(error, ServerMisbehaved)
    assert f"larger than {size_bytes} bytes" in str(error)


async def test_flood_in_the_middle_of_a_call_fails_the_call() -> None:
    """And the next call finds a new server."""
    async with serving(max_result_bytes=100_000) as tools:
        with pytest.raises(ServerMisbehaved, match="larger than 100000 bytes"):
            await tools.call("fake", "flood")
        assert (await tools.call("fake", "echo", {"text": "x"})).value == {"text": "x"}


async def test_huge_result_fails_its_own_call_and_no_other_for_good() -> None:
    """The call with the huge result must not be retried; one beside it may."""
    async with serving(max_result_bytes=100_000) as tools:
        await tools.list_tools()
        beside = asyncio.create_task(tools.call("fake", "sleep", {"seconds": 60}))
        await tools.call("fake", "echo", {"text": "both are on their way"})
        with pytest.raises(ResultTooLarge, match="larger than") as caught:
            await tools.call("fake", "big", {"size_bytes": 3_000_000})
        assert not caught.value.retryable
        with pytest.raises(ServerUnavailable, match="it answered another call") as other:
            await beside
        assert other.value.retryable
        assert (await tools.call("fake", "big", {"size_bytes": 50_000})).value == "x" * 50_000


async def test_megabytes_of_stderr_do_no_harm() -> None:
    """They are read, so the server is not stuck, and only the end is kept."""
    async with serving("loud-stderr") as tools:
        assert (await tools.call("fake", "echo", {"text": "x"})).value == {"text": "x"}
        with pytest.raises(ServerUnavailable) as caught:
            await tools.call("fake", "die")
    assert "exited with code 7; stderr: …" in str(caught.value)
    assert "00039999" in str(caught.value)
    assert len(str(caught.value)) < 10_000


async def test_death_in_the_middle_fails_all_calls_at_once_and_the_next_reconnects() -> None:
    """Retryable, in no time, and without a thing to do for the caller."""
    async with serving() as tools:
        pid = (await tools.call("fake", "about")).value["pid"]
        waiting = [asyncio.create_task(tools.call("fake", "sleep", {"seconds": 60})) for _ in range(3)]
        await tools.call("fake", "echo", {"text": "all are on their way"})
        started = time.monotonic()
        for doomed in (tools.call("fake", "die"), *waiting):
            with pytest.raises(ServerUnavailable, match="exited with code 7") as caught:
                await doomed
            assert caught.value.retryable
        assert time.monotonic() - started < 5
        assert (await tools.call("fake", "about")).value["pid"] != pid


async def test_death_from_outside_is_noticed_while_nobody_calls() -> None:
    """The call after it goes to a new server, not into the void."""
    async with serving() as tools:
        pid = (await tools.call("fake", "about")).value["pid"]
        waiting = asyncio.create_task(tools.call("fake", "sleep", {"seconds": 60}))
        await tools.call("fake", "echo", {"text": "it is on its way"})
        os.kill(pid, 9)
        with pytest.raises(ServerUnavailable, match="was killed by signal SIGKILL"):
            await waiting
        assert (await tools.call("fake", "about")).value["pid"] != pid


async def test_hanging_server_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call that times out asks whether the server lives at all; one that does not answer is stopped."""
    monkeypatch.setattr("maestro_tools._mcp_link._ALIVE_S", 0.2)
    async with serving() as tools:
        pid = (await tools.call("fake", "about")).value["pid"]
        with pytest.raises(ToolTimedOut) as caught:
            await tools.call("fake", "hang", timeout_s=0.2)
        assert caught.value.retryable
        with pytest.raises(ServerUnavailable, match="fake hangs: it was stopped"):
            await tools.call("fake", "echo", {"text": "into the void"}, timeout_s=10)
        assert (await tools.call("fake", "about")).value["pid"] != pid


async def test_slow_but_living_server_is_kept() -> None:
    """A time limit is the caller's matter; the server answers other questions, and stays."""
    async with serving() as tools:
        pid = (await tools.call("fake", "about")).value["pid"]
        with pytest.raises(ToolTimedOut, match=r"fake\.sleep did not end within 0\.1 s"):
            await tools.call("fake", "sleep", {"seconds": 60}, timeout_s=0.1)
        assert (await tools.call("fake", "about")).value["pid"] == pid


async def test_limit_of_the_source_holds_where_the_caller_sets_none() -> None:
    """`call_timeout_s`."""
    async with serving(call_timeout_s=0.1) as tools:
        with pytest.raises(ToolTimedOut, match="within 0"):
            await tools.call("fake", "sleep", {"seconds": 60})


async def test_stubborn_server_and_its_child_are_killed() -> None:
    """Closing is bounded although both ignore the end of input and SIGTERM."""
    async with serving("stubborn") as tools:
        await tools.call("fake", "echo", {"text": "x"})
        started = time.monotonic()
    assert time.monotonic() - started < 8


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [("same-name-twice", "lists the tool 'echo' twice"), ("endless-pages", "lists its tools without end")],
)
async def test_list_of_tools_that_cannot_be_right(behaviour: str, message: str) -> None:
    """It is refused, not taken in part."""
    error = await failure(behaviour)
    assert isinstance(error, ServerMisbehaved)
    assert message in str(error)


async def test_result_that_breaks_its_own_schema_is_refused() -> None:
    """A tool that declares what it answers is held to it."""
    async with serving() as tools:
        with pytest.raises(ServerMisbehaved, match="not of type 'string'"):
            await tools.call("fake", "break-schema")


async def test_failing_tool_tells_why() -> None:
    """With the whole result for who wants it."""
    async with serving() as tools:
        with pytest.raises(ToolFailed, match=r"fake\.fail failed: the milk is sour") as caught:
            await tools.call("fake", "fail", {"text": "the milk is sour"})
    assert caught.value.result is not None
    assert caught.value.result.is_error
    assert caught.value.result.content == ({"type": "text", "text": "the milk is sour"},)


async def test_program_that_is_no_server(tmp_path: Path) -> None:
    """`true` ends at once, `cat` repeats our own question, and `no-such-program` is not there."""
    for command, kind, message in [
        (["true"], ServerUnavailable, "fake exited with code 0"),
        (["no-such-program"], ServerUnavailable, "'no-such-program' not found"),
        ([str(tmp_path)], ServerUnavailable, "not found"),
    ]:
        async with ToolCatalogue({"fake": {"mcp": {"command": command}}}) as tools, asyncio.timeout(20):
            with pytest.raises(kind, match=message):
                await tools.list_tools()
