"""What any ToolSource promises, as tests: subclass the suite in a test file, and say how a source is made."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable
from typing import Any

from maestro_tools._errors import (
    InvalidArguments,
    ServerUnavailable,
    ToolFailed,
    ToolsError,
    ToolTimedOut,
    UnknownTool,
)
from maestro_tools._tools import ToolSource

# Whatever a source is behind, these are only text.
_AWKWARD_TEXTS = (
    "",
    "plain",
    'it\'s "quoted" \\ twice',
    "two\nlines\ttabbed",
    "; touch injected; $(touch injected) `touch injected` && touch injected",
    "${HOME} $PATH %s {text} UTCP_ARG_text_UTCP_END",
    "--help",
    "naïve ☕ 日本語 🜚",
)


class ToolSourceSuite:
    """Run by pytest (asyncio mode auto) in a subclass whose name begins with `Test`.

    The source must offer `echo {text}`, which answers `{"text": …}`; `fail {text}`, which fails with that text; and
    `sleep {seconds}`, which answers after so long. Each test makes a source of its own and closes it.
    """

    def make_source(self) -> ToolSource:
        """A new source, not used yet."""
        raise NotImplementedError

    async def _use(self, test: Any) -> None:
        source = self.make_source()
        try:
            await test(source)
        finally:
            await source.close()

    async def test_tools_are_listed_by_name(self) -> None:
        """The list is ordered, complete, and the same every time, digests included."""

        async def test(source: ToolSource) -> None:
            tools = await source.list_tools()
            names = [tool.name for tool in tools]
            assert names == sorted(names), names
            assert {"echo", "fail", "sleep"} <= set(names), names
            echo = next(tool for tool in tools if tool.name == "echo")
            assert "text" in echo.input_schema["properties"], echo
            again = await source.list_tools()
            assert [tool.digest for tool in again] == [tool.digest for tool in tools]

        await self._use(test)

    async def test_arguments_arrive_as_they_are(self) -> None:
        """No text is changed, cut, or understood as anything but text."""

        async def test(source: ToolSource) -> None:
            for text in _AWKWARD_TEXTS:
                result = await source.call_tool("echo", {"text": text})
                assert result.value == {"text": text}, (text, result)
                assert not result.is_error

        await self._use(test)

    async def test_unknown_tool_is_named(self) -> None:
        """A tool that does not exist is refused, with the nearest that does."""

        async def test(source: ToolSource) -> None:
            error = await _raised(UnknownTool, source.call_tool("ecko", {"text": "x"}))
            assert "'echo'" in str(error), error
            assert not error.retryable

        await self._use(test)

    async def test_wrong_arguments_are_refused(self) -> None:
        """Arguments that do not fit the input schema are not sent; the error names the place."""

        async def test(source: ToolSource) -> None:
            error = await _raised(InvalidArguments, source.call_tool("echo", {"text": 7}))
            assert "/text" in str(error), error
            assert not error.retryable
            await _raised(InvalidArguments, source.call_tool("echo", {}))

        await self._use(test)

    async def test_failing_tool_is_an_error(self) -> None:
        """A tool's own failure is raised, with what it said, and is not worth a retry."""

        async def test(source: ToolSource) -> None:
            error = await _raised(ToolFailed, source.call_tool("fail", {"text": "the milk is sour"}))
            assert "the milk is sour" in str(error), error
            assert not error.retryable

        await self._use(test)

    async def test_slow_tool_times_out(self) -> None:
        """A call ends at its limit, and the source serves on."""

        async def test(source: ToolSource) -> None:
            await source.call_tool("echo", {"text": "connected"})
            started = time.monotonic()
            error = await _raised(ToolTimedOut, source.call_tool("sleep", {"seconds": 60}, timeout_s=0.2))
            assert error.retryable
            assert time.monotonic() - started < 5
            assert (await source.call_tool("echo", {"text": "after"})).value == {"text": "after"}

        await self._use(test)

    async def test_many_calls_at_once(self) -> None:
        """Every call gets its own answer, and a slow one holds up no other."""

        async def test(source: ToolSource) -> None:
            slow = asyncio.create_task(source.call_tool("sleep", {"seconds": 60}))
            texts = [f"number {index}" for index in range(20)]
            results = await asyncio.gather(*(source.call_tool("echo", {"text": text}) for text in texts))
            assert [result.value for result in results] == [{"text": text} for text in texts]
            assert not slow.done()
            slow.cancel()
            await asyncio.wait([slow])

        await self._use(test)

    async def test_cancelled_call_harms_no_other(self) -> None:
        """Cancelling the one who waits cancels the call, and only that."""

        async def test(source: ToolSource) -> None:
            await source.call_tool("echo", {"text": "connected"})
            waiting = asyncio.create_task(source.call_tool("sleep", {"seconds": 60}))
            beside = asyncio.create_task(source.call_tool("echo", {"text": "beside"}))
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.wait([waiting])
            assert waiting.cancelled()
            assert (await beside).value == {"text": "beside"}

        await self._use(test)

    async def test_close_ends_what_is_in_flight(self) -> None:
        """Closing fails the calls in flight, refuses later ones, is bounded, and may be repeated."""

        async def test(source: ToolSource) -> None:
            await source.call_tool("echo", {"text": "connected"})
            waiting = asyncio.create_task(source.call_tool("sleep", {"seconds": 60}))
            await asyncio.sleep(0)
            async with asyncio.timeout(10):
                await source.close()
                await source.close()
            await _raised(ServerUnavailable, waiting)
            error = await _raised(ServerUnavailable, source.call_tool("echo", {"text": "late"}))
            assert not error.retryable

        await self._use(test)

    async def test_unused_source_closes(self) -> None:
        """A source that was never used holds nothing, and closes."""

        async def test(source: ToolSource) -> None:
            await source.close()

        await self._use(test)

    async def test_idempotency_key_is_taken(self) -> None:
        """A key may be given with any call."""

        async def test(source: ToolSource) -> None:
            result = await source.call_tool("echo", {"text": "x"}, idempotency_key="workflow/step/1")
            assert result.value == {"text": "x"}

        await self._use(test)


async def _raised(kind: type[ToolsError], call: Awaitable[object]) -> ToolsError:
    """The error that a call must raise."""
    try:
        answer = await call
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised; the answer is {answer!r}")
