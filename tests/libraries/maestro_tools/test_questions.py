"""A server's questions to a person: approvals of the engine, in both eras of the protocol, over restarts."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from libraries.maestro_tools.engine import FORM, StepCall, form, step, waits

from maestro_tools import InputRequired, McpKind, SecretAsked, ServerMisbehaved, ToolFailed
from maestro_tools.testing import example_server, fake_modern_server, fake_server

FINISHED = {"content": [], "structuredContent": {"done": True}}
YES = {"approved": True, "data": {"name": "Ada"}, "comment": "fine"}
ACCEPTED = {"action": "accept", "content": {"name": "Ada"}}


def asking(state: str | None = None, **requests: Any) -> dict[str, Any]:
    """A round in which the server asks; each request is the params of its elicitation."""
    found = {key: {"method": "elicitation/create", "params": params} for key, params in requests.items()}
    return {
        "resultType": "input_required",
        **({"inputRequests": found} if found else {}),
        **({"requestState": state} if state is not None else {}),
    }


@pytest.fixture
async def kind() -> AsyncIterator[McpKind]:
    made = McpKind()
    yield made
    await made.close()


def calls(folder: Path) -> list[dict[str, Any]]:
    """What the modern server was called with."""
    found: list[dict[str, Any]] = json.loads((folder / "server.json").read_text())["calls"]
    return found


def play(folder: Path, *rounds: Any) -> StepCall:
    return step(fake_modern_server(), "play", {"rounds": list(rounds)}, folder)


async def test_question_becomes_an_approval_and_its_answer_continues_the_call(kind: McpKind, tmp_path: Path) -> None:
    """The call is made again with the answer, the same arguments, the same key and the server's state unchanged."""
    call = play(tmp_path, asking("1", who=form()), FINISHED)
    wait = await waits(kind, call)
    assert wait.seconds is None
    assert wait.on == {
        "kind": "approval",
        "title": "srv.play asks",
        "description": "Who?",
        "source": "srv",
        "tool": "play",
        "server": Path(fake_modern_server()["mcp"]["command"][0]).name,
        "form": FORM,
    }
    assert await kind.run(call.after(wait, YES)) == {"done": True}
    first, second = calls(tmp_path)
    assert "inputResponses" not in first
    assert second["inputResponses"] == {"who": ACCEPTED}
    assert second["requestState"] == "1"
    assert second["arguments"] == first["arguments"]
    keys = [one["_meta"]["maestro/idempotency-key"] for one in (first, second)]
    assert keys == ["workflow/step/1"] * 2


async def test_answer_continues_the_call_after_a_restart(tmp_path: Path) -> None:
    """Of us and of the server: everything needed is in the memo."""
    call = play(tmp_path, asking("1", who=form()), asking("2", why=form("Why?")), FINISHED)
    kind = McpKind()
    wait = await waits(kind, call)
    await kind.close()
    kind = McpKind()
    wait = await waits(kind, call.after(wait, YES))
    await kind.close()
    kind = McpKind()
    assert await kind.run(call.after(wait, YES)) == {"done": True}
    await kind.close()
    assert [one.get("requestState") for one in calls(tmp_path)] == [None, "1", "2"]


async def test_several_questions_of_a_round_are_put_one_by_one(kind: McpKind, tmp_path: Path) -> None:
    """And answered together; whoever declines is believed."""
    call = play(tmp_path, asking("1", a=form("A?"), b=form("B?")), FINISHED)
    wait = await waits(kind, call)
    wait = await waits(kind, call.after(wait, {"approved": False, "comment": "never"}))
    assert wait.on is not None
    assert wait.on["description"] == "B?"
    assert len(calls(tmp_path)) == 1
    await kind.run(call.after(wait, YES))
    assert calls(tmp_path)[1]["inputResponses"] == {"a": {"action": "decline"}, "b": ACCEPTED}


async def test_round_without_a_question_is_made_after_a_moment(kind: McpKind, tmp_path: Path) -> None:
    """Longer each time, and nobody is asked."""
    call = play(tmp_path, asking("1"), asking("2"), FINISHED)
    first = await waits(kind, call)
    second = await waits(kind, call.after(first))
    assert first.on is None
    assert first.seconds is not None
    assert second.seconds is not None
    assert 0 < first.seconds < second.seconds
    assert await kind.run(call.after(second)) == {"done": True}


async def test_answer_that_does_not_say_its_kind_is_a_result(kind: McpKind, tmp_path: Path) -> None:
    """As the protocol wants it, although servers must say it."""
    call = play(tmp_path, {"bare": {"content": [{"type": "text", "text": "plain"}]}})
    assert await kind.run(call) == "plain"


async def test_rounds_have_an_end(kind: McpKind, tmp_path: Path) -> None:
    """Twenty, then the step fails."""
    call = play(tmp_path, asking("0", who=form()))
    wait = await waits(kind, call)
    for _ in range(19):
        wait = await waits(kind, call.after(wait, YES))
    with pytest.raises(InputRequired, match="asked 20 times without coming to an end") as caught:
        await kind.run(call.after(wait, YES))
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ({"approved": True, "data": {"name": "A"}}, "name: 'A' is too short"),
        ({"approved": True, "data": {}}, "'name' is a required property"),
        ({"approved": True, "data": {"name": 7}}, "name: 7 is not of type 'string'"),
        ({"approved": True, "data": "Ada"}, "data must be an object with the fields of the form"),
        ({"approved": "yes"}, "the answer must say whether it is approved"),
        ("yes", "the answer must say whether it is approved"),
    ],
)
async def test_answer_that_does_not_fit_is_asked_for_again(
    kind: McpKind, tmp_path: Path, answer: Any, problem: str
) -> None:
    """With the reason; the server hears nothing of it."""
    call = play(tmp_path, asking("1", who=form()), FINISHED)
    wait = await waits(kind, call)
    wait = await waits(kind, call.after(wait, answer))
    assert wait.on is not None
    assert wait.on["problem"] == problem
    assert len(calls(tmp_path)) == 1
    assert await kind.run(call.after(wait, YES)) == {"done": True}


async def test_defaults_are_filled_in_and_strangers_dropped(kind: McpKind, tmp_path: Path) -> None:
    """What a person leaves out takes the default of the form; what the form does not ask for is not sent."""
    schema = {
        "type": "object",
        "properties": {"age": {"type": "integer", "default": 30}, "level": {"type": "string", "enum": ["a", "b"]}},
    }
    call = play(tmp_path, asking("1", who=form(schema=schema)), FINISHED)
    wait = await waits(kind, call)
    await kind.run(call.after(wait, {"approved": True, "data": {"level": "b", "extra": 1}}))
    assert calls(tmp_path)[1]["inputResponses"]["who"]["content"] == {"age": 30, "level": "b"}


async def test_address_is_shown_and_visited_by_the_person(kind: McpKind, tmp_path: Path) -> None:
    """URL mode: nothing is fetched, nothing but the consent is sent."""
    asked = {"mode": "url", "message": "Sign in", "url": "https://example.com/signin?x=1"}
    call = play(tmp_path, asking("1", login=asked), FINISHED)
    wait = await waits(kind, call)
    assert wait.on is not None
    assert wait.on["url"] == "https://example.com/signin?x=1"
    assert "form" not in wait.on
    await kind.run(call.after(wait, {"approved": True, "data": {"password": "x"}}))
    assert calls(tmp_path)[1]["inputResponses"] == {"login": {"action": "accept"}}


async def test_server_made_with_the_sdk_asks(kind: McpKind, tmp_path: Path) -> None:
    """Its state is sealed by the server, and comes back to it as it was."""
    call = step(example_server(), "ask", {}, tmp_path)
    wait = await waits(kind, call)
    assert wait.on is not None
    assert wait.on["description"] == "May I?"
    assert await kind.run(call.after(wait, {"approved": True, "data": {"yes": True}})) == {"result": "yes"}


SECRETS = [
    {"password": {"type": "string"}},
    {"apiKey": {"type": "string"}},
    {"x": {"type": "string", "title": "Your API key"}},
    {"x": {"type": "string", "format": "password"}},
    {"token": {"type": "string"}},
    {"card_number": {"type": "string"}},
    {"clientSecret": {"type": "string"}},
]


@pytest.mark.parametrize("fields", SECRETS)
async def test_secret_is_not_asked_for_in_a_form(kind: McpKind, tmp_path: Path, fields: Any) -> None:
    """In either era: nobody is asked, the server hears `decline` where it waits, and the error says what to do."""
    schema = {"type": "object", "properties": fields}
    with pytest.raises(SecretAsked, match="asks for a secret: give the server what it needs by its env") as caught:
        await kind.run(play(tmp_path, asking("1", who=form(schema=schema))))
    assert not caught.value.retryable


@pytest.mark.parametrize(
    ("rounds", "message"),
    [
        ([asking("x" * 30_000)], "requestState larger than 24576 bytes"),
        (
            [{"resultType": "input_required", "inputRequests": {"a": {"method": "roots/list"}}}],
            "asks for roots/list, which it was not offered",
        ),
        ([asking("1", **{f"q{n}": form("?" * 4000) for n in range(16)})], "asks for more than 60000 bytes in one call"),
    ],
)
async def test_hostile_round_is_refused(kind: McpKind, tmp_path: Path, rounds: Any, message: str) -> None:
    """A journal is no place for what a server wants to keep there."""
    with pytest.raises(ServerMisbehaved, match=message):
        await kind.run(play(tmp_path, *rounds))


async def test_secret_of_the_source_is_masked_in_questions(kind: McpKind, tmp_path: Path) -> None:
    """In either era; a server must not have it shown, or kept in a journal. Its own state is not touched."""
    asked = form("The key hunter2hunter2 is old", {"type": "object", "properties": {"x": {"type": "string"}}})
    source = fake_modern_server(env={"KEY": "hunter2hunter2"})
    rounds = [asking("hunter2hunter2", who=asked)]
    wait = await waits(kind, step(source, "play", {"rounds": rounds}, tmp_path))
    assert wait.on is not None
    assert wait.on["description"] == "The key *** is old"
    assert wait.memo["state"] == "hunter2hunter2"
    old = fake_server(env={"KEY": "hunter2hunter2"})
    wait = await waits(kind, step(old, "question", {"asked": [asked]}, tmp_path))
    assert wait.on is not None
    assert wait.on["description"] == "The key *** is old"


async def test_tool_that_fails_for_want_of_an_answer_is_a_failed_tool(kind: McpKind, tmp_path: Path) -> None:
    """What the server makes of a refusal is its matter."""
    refused = {"content": [{"type": "text", "text": "not allowed"}], "isError": True}
    call = play(tmp_path, asking("1", who=form()), refused)
    wait = await waits(kind, call)
    with pytest.raises(ToolFailed, match="not allowed"):
        await kind.run(call.after(wait, {"approved": False}))
