"""Questions of servers of 2025-11-25, which ask in the middle of a call and hold it open meanwhile."""

import asyncio
import contextvars
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import mcp.types as types
import pytest
from libraries.maestro_tools.engine import FORM, StepCall, form, step, waits

from maestro_tools import InputRequired, McpKind, Wait
from maestro_tools._desk import Desk
from maestro_tools._masking import Masker
from maestro_tools._questions import Question
from maestro_tools.testing import example_http_server, fake_server

YES = {"approved": True, "data": {"name": "Ada"}, "comment": "fine"}
ACCEPTED = {"action": "accept", "content": {"name": "Ada"}}


@pytest.fixture
async def kind() -> AsyncIterator[McpKind]:
    made = McpKind()
    yield made
    await made.close()


def question(folder: Path, *asked: Any, **more: Any) -> StepCall:
    """A tool of the old server that asks while the call is open."""
    return step(fake_server(), "question", {"asked": list(asked)}, folder, **more)


async def test_call_of_the_old_era_stays_open_while_a_person_thinks(kind: McpKind, tmp_path: Path) -> None:
    """And no time passes for it: the limit of the call is for the server, not for the person."""
    call = question(tmp_path, form("A?"), form("B?"), timeout_s=5.0)
    wait = await waits(kind, call)
    assert wait.on is not None
    assert (wait.on["description"], wait.on["form"]) == ("A?", FORM)
    wait = await waits(kind, call.after(wait, YES))
    assert wait.on is not None
    assert wait.on["description"] == "B?"
    answers = {"answers": [ACCEPTED, {"action": "decline"}], "calls": 1}
    assert await kind.run(call.after(wait, {"approved": False})) == answers


async def test_limit_of_a_call_stands_still_while_it_is_open(kind: McpKind, tmp_path: Path) -> None:
    """The person takes longer than the limit; the server may not."""
    await kind.run(step(fake_server(), "echo", {"text": "connected"}, tmp_path))
    call = question(tmp_path, form("A?"), timeout_s=1.0)
    wait = await waits(kind, call)
    await kind.run(step(fake_server(), "sleep", {"seconds": 1.5}, tmp_path, idempotency_key="other"))
    assert await kind.run(call.after(wait, YES)) == {"answers": [ACCEPTED], "calls": 2}


async def test_call_of_the_old_era_is_made_again_after_a_restart(tmp_path: Path) -> None:
    """What was answered before is answered from the memo; only what is new is asked."""
    call = question(tmp_path, form("A?"), form("B?"), form("A?"))
    kind = McpKind()
    wait = await waits(kind, call)
    wait = await waits(kind, call.after(wait, YES))
    await kind.close()
    kind = McpKind()
    wait = await waits(kind, call.after(wait, {"approved": False}))
    assert wait.on is not None
    assert wait.on["description"] == "A?"
    await kind.close()
    kind = McpKind()
    declined = {"action": "decline"}
    answers = {"answers": [ACCEPTED, declined, ACCEPTED], "calls": 1}
    assert await kind.run(call.after(wait, YES)) == answers
    await kind.close()


async def test_old_server_that_dies_while_a_person_thinks_is_called_again(kind: McpKind, tmp_path: Path) -> None:
    """As after a restart of ours: the answer is not lost."""
    call = question(tmp_path, form("A?"))
    wait = await waits(kind, call)
    (shared,) = kind._open.values()
    await shared.connection.close()
    kind._open.clear()
    assert await kind.run(call.after(wait, YES)) == {"answers": [ACCEPTED], "calls": 1}


async def test_other_calls_pass_by_one_that_is_open(kind: McpKind, tmp_path: Path) -> None:
    """Over a connection of their own, so that no question is taken for another's."""
    opened = question(tmp_path, form("A?"), idempotency_key="a")
    wait = await waits(kind, opened)
    other = question(tmp_path, form("B?"), idempotency_key="b")
    second = await waits(kind, other)
    assert second.on is not None
    assert second.on["description"] == "B?"
    assert await kind.run(step(fake_server(), "echo", {"text": "x"}, tmp_path)) == {"text": "x"}
    assert await kind.run(opened.after(wait, YES)) == {"answers": [ACCEPTED], "calls": 1}
    assert await kind.run(other.after(second, {"approved": False})) == {"answers": [{"action": "decline"}], "calls": 1}


async def test_question_that_may_be_anybodys_is_called_off(kind: McpKind, tmp_path: Path) -> None:
    """Over stdio nothing says which call asks; from then on calls go one at a time, and a retry is right."""
    await kind.run(step(fake_server(), "echo", {"text": "connected"}, tmp_path))
    beside = asyncio.create_task(kind.run(step(fake_server(), "sleep", {"seconds": 60}, tmp_path)))
    (shared,) = kind._open.values()
    while shared.users == 0:
        await kind.run(step(fake_server(), "echo", {"text": "let it begin"}, tmp_path))
    call = question(tmp_path, form("A?"), idempotency_key="a")
    called_off = await kind.run(call)
    assert isinstance(called_off, dict)
    assert called_off["answers"] == [{"action": "cancel"}]
    wait = await waits(kind, call)
    assert await kind.run(call.after(wait, YES)) == {"answers": [ACCEPTED], "calls": 1}
    assert not beside.done()
    beside.cancel()
    await asyncio.wait([beside])


async def test_call_that_fails_because_its_question_was_called_off_is_worth_a_retry() -> None:
    """It may not have been its own question at all."""
    desk = Desk(Masker())
    crowded: list[str] = []

    async def ask(question: Question) -> dict[str, Any]:
        raise AssertionError("nobody is asked")

    params = types.ElicitRequestFormParams(message="A?", requested_schema=FORM)
    with (
        desk.calling("srv.a", ask, lambda: crowded.append("a")) as first,
        desk.calling("srv.b", ask, lambda: crowded.append("b")) as second,
    ):
        answer = await asyncio.create_task(desk.elicit(None, params), context=contextvars.Context())
    assert answer.action == "cancel"
    assert crowded == ["a", "b"]
    for caller in (first, second):
        assert isinstance(caller.fault, InputRequired)
        assert caller.fault.retryable


async def test_old_server_over_http_says_which_call_asks(
    kind: McpKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A question comes on the stream of its call; two at once over one connection are each their own."""
    monkeypatch.setattr("maestro_tools._mcp._ASK", "legacy")
    with example_http_server() as url:
        source = {"mcp": {"url": url}}
        one = step(source, "ask", {}, tmp_path, idempotency_key="one")
        two = step(source, "ask", {}, tmp_path, idempotency_key="two")
        waiting = await asyncio.gather(waits(kind, one), waits(kind, two))
        assert len(kind._open) == 1
        assert all(wait.memo["is_open"] for wait in waiting)
        assert await kind.run(one.after(waiting[0], {"approved": True, "data": {"yes": True}})) == {"result": "yes"}
        assert await kind.run(two.after(waiting[1], {"approved": True, "data": {"yes": False}})) == {"result": "no"}
        await kind.close()


async def test_old_server_that_sends_a_person_away_first(kind: McpKind, tmp_path: Path) -> None:
    """Error -32042 becomes an approval with the address; then the call is made again."""
    addresses = {"elicitations": [{"message": "Pay", "url": "https://example.com/pay", "elicitationId": "e"}]}
    call = question(tmp_path, {"addresses": addresses})
    wait = await waits(kind, call)
    assert wait.on is not None
    assert (wait.on["url"], wait.on["description"]) == ("https://example.com/pay", "Pay")
    assert await kind.run(call.after(wait, {"approved": True})) == {"answers": [], "calls": 2}
    with pytest.raises(InputRequired, match="goes on only when a person agrees"):
        await kind.run(call.after(wait, {"approved": False}))


async def test_abandoned_call_is_called_off_on_the_server(kind: McpKind, tmp_path: Path) -> None:
    """The server hears `cancel`, and the connection serves others again."""
    call = question(tmp_path, form("A?"))
    wait = await waits(kind, call)
    await kind.abandon(call.after(wait))
    assert not kind._calls
    (shared,) = kind._open.values()
    assert (shared.users, shared.is_taken) == (0, False)
    seen = await kind.run(step(fake_server(), "question", {"asked": []}, tmp_path))
    assert seen == {"answers": [], "calls": 2}


async def test_open_calls_are_bounded(kind: McpKind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest is ended, and made again when its answer comes."""
    monkeypatch.setattr("maestro_tools._mcp_kind._MOST_OPEN", 1)
    first = question(tmp_path, form("A?"), idempotency_key="a")
    wait = await waits(kind, first)
    second = question(tmp_path, form("B?"), idempotency_key="b")
    await waits(kind, second)
    assert list(kind._calls) == ["b"]
    answered = await kind.run(first.after(wait, YES))
    assert isinstance(answered, dict)
    assert answered["answers"] == [ACCEPTED]


async def test_close_ends_open_calls(tmp_path: Path) -> None:
    """No process and no task is left: the fixtures look."""
    kind = McpKind()
    await waits(kind, question(tmp_path, form("A?")))
    await kind.close()


async def test_secret_is_declined_where_the_call_is_open(kind: McpKind, tmp_path: Path) -> None:
    """The old server is told at once; if its tool goes on without, that is its result."""
    schema = {"type": "object", "properties": {"password": {"type": "string"}}}
    assert await kind.run(question(tmp_path, form(schema=schema))) == {"answers": [{"action": "decline"}], "calls": 1}


async def test_call_that_is_cancelled_with_its_step_leaves_nothing(kind: McpKind, tmp_path: Path) -> None:
    """The engine stops a step that runs: the call that was opened for it ends too."""
    call = question(tmp_path, form("A?"))
    wait = await waits(kind, call)
    running = asyncio.create_task(
        kind.run(step(fake_server(), "sleep", {"seconds": 60}, tmp_path, idempotency_key="other"))
    )
    await asyncio.sleep(0)
    running.cancel()
    await asyncio.wait([running])
    assert running.cancelled()
    assert isinstance(wait, Wait)
    assert await kind.run(call.after(wait, YES)) == {"answers": [ACCEPTED], "calls": 1}
