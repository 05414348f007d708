"""Messages come out of a server's stdout whole, however it was cut into pieces."""

import asyncio
import itertools
import json
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from maestro_tools import ServerMisbehaved, ServerUnavailable
from maestro_tools._masking import Masker
from maestro_tools._process import Process
from maestro_tools._stdio import TOO_LARGE_CODE, StdioChannel

LIMIT = 200


class Pieces:
    """A process that has written all it will, and is read piece by piece."""

    def __init__(self, data: bytes, cuts: list[int]) -> None:
        edges = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})
        self.pieces = [data[start:end] for start, end in itertools.pairwise(edges)]
        self.killed = False

    async def read(self) -> bytes:
        return self.pieces.pop(0) if self.pieces else b""

    async def finished(self) -> None:
        """It is."""

    def describe_exit(self) -> str:
        return "exited with code 0"

    def kill(self) -> None:
        self.killed = True

    async def stop(self) -> None:
        """It has."""

    async def write(self, data: bytes) -> None:
        """Nobody listens."""


def received(data: bytes, cuts: list[int]) -> tuple[list[dict[str, Any]], StdioChannel, Pieces]:
    """Every message that a session would see."""

    async def read() -> tuple[list[dict[str, Any]], StdioChannel, Pieces]:
        process = Pieces(data, cuts)
        channel = StdioChannel("s", cast(Process, process), max_message_bytes=LIMIT, masker=Masker())
        seen = []
        async with asyncio.timeout(10), channel.streams(asyncio.Event()) as (reading, _writing):
            async for item in reading:
                assert not isinstance(item, Exception)
                seen.append(item.message.model_dump(exclude_unset=True))
        return seen, channel, process

    return asyncio.run(read())


messages = st.builds(
    lambda number, text: {"jsonrpc": "2.0", "id": number, "result": {"text": text}},
    st.integers(0, 99),
    st.text(alphabet='aé☕\\"\n', max_size=10),
)
strays = st.sampled_from([b"", b"   ", b"loading", b"{}", b"[1]", b"\xff\xfe", b'{"jsonrpc": "2.0"', b"nul\0"])
cuts = st.lists(st.integers(0, 1000), max_size=20)


@given(st.lists(messages | strays, max_size=12), cuts)
def test_messages_are_the_same_however_they_are_cut(lines: list[dict[str, Any] | bytes], where: list[int]) -> None:
    """Each once and in order; what is no message is left out."""
    data = b"".join((line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n" for line in lines)
    seen, channel, process = received(data, where)
    assert seen == [line for line in lines if isinstance(line, dict)]
    assert isinstance(channel.fault, ServerUnavailable)
    assert not process.killed


@given(st.binary(max_size=1000), cuts)
def test_no_bytes_break_the_reader(data: bytes, where: list[int]) -> None:
    """Whatever a server writes, reading ends with a reason."""
    _, channel, _ = received(data, where)
    assert isinstance(channel.fault, ServerUnavailable | ServerMisbehaved)


@given(st.integers(0, 10**15 - 1), st.integers(LIMIT, LIMIT * 3), cuts)
def test_oversized_answer_fails_the_request_it_belongs_to(number: int, size: int, where: list[int]) -> None:
    """As far as its beginning tells; and the server is stopped."""
    data = b'{"jsonrpc": "2.0", "id": %d, "result": {"text": "' % number + b"x" * size
    seen, channel, process = received(data, where)
    assert [(answer["id"], answer["error"]["code"]) for answer in seen] == [(number, TOO_LARGE_CODE)]
    assert process.killed
    assert isinstance(channel.fault, ServerUnavailable)
    seen, channel, process = received(b'{"result": {"id": 1, "text": "' + b"x" * size, where)
    assert seen == []
    assert isinstance(channel.fault, ServerMisbehaved)
