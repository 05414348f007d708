"""`/ws`: stored events as they are, without a gap; and rules for those who break them."""

import asyncio
import json
from typing import Any

import pytest
from services.maestro_engine.running import Engine, StartEngine, one_step, received
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin


async def subscribe(socket: ClientConnection, **fields: Any) -> dict[str, Any]:
    await socket.send(json.dumps({"type": "subscribe", **fields}))
    return await received(socket)


async def close_of(socket: ClientConnection) -> tuple[int, str]:
    """The code and the reason that the server closes with."""
    await asyncio.wait_for(socket.wait_closed(), 10)
    assert socket.close_code is not None
    return socket.close_code, socket.close_reason or ""


async def test_a_subscriber_gets_history_then_live_each_event_once_and_unchanged(engine: Engine) -> None:
    """The events on the socket are the events of the journal, from the first to the terminal one; then it is told."""
    workflow_id = await engine.start(one_step("gate"))
    await engine.gate.arrival()
    async with engine.socket() as socket:
        assert await subscribe(socket, workflow_id=workflow_id, from_seq=1) == {
            "type": "feed.subscribed",
            "workflow_id": workflow_id,
            "from_seq": 1,
        }
        messages = [await received(socket)]
        engine.gate.open()
        while messages[-1]["type"] != "feed.ended":
            messages.append(await received(socket))
    journal = [event.as_json() for event in await engine.backend.events(workflow_id)]
    assert messages[:-1] == journal
    assert messages[-2]["type"] == "workflow.succeeded"


async def test_a_reader_that_comes_back_goes_on_where_it_was(engine: Engine) -> None:
    """from_seq after a break gives what followed, and nothing twice."""
    workflow_id = await engine.start(one_step())
    state = await engine.backend.wait(workflow_id, 10)
    async with engine.socket() as socket:
        await subscribe(socket, workflow_id=workflow_id, from_seq=3)
        seqs = []
        while (message := await received(socket))["type"] != "feed.ended":
            seqs.append(message["seq"])
    assert seqs == list(range(3, state.seq + 1))


async def test_one_socket_follows_all_workflows_in_one_order(engine: Engine) -> None:
    """Without a workflow, events of all come by their position, history included."""
    ids = {await engine.start(one_step()), await engine.start(one_step())}
    for workflow_id in ids:
        await engine.backend.wait(workflow_id, 10)
    async with engine.socket() as socket:
        await subscribe(socket, from_position=0)
        positions: list[int] = []
        ended: set[str] = set()
        while ended != ids:
            message = await received(socket)
            positions.append(message["position"])
            if message["type"] == "workflow.succeeded":
                ended.add(message["workflow_id"])
    assert positions == sorted(set(positions))
    assert positions[0] == 1


async def test_several_subscriptions_share_a_socket_and_end_one_by_one(engine: Engine) -> None:
    """Unsubscribing from one leaves the other."""
    first, second = await engine.start(one_step("gate")), await engine.start(one_step("gate"))
    for _ in range(2):
        await engine.gate.arrival()
    async with engine.socket() as socket:
        await socket.send(json.dumps({"type": "subscribe", "workflow_id": first}))
        await socket.send(json.dumps({"type": "subscribe", "workflow_id": second}))
        await socket.send(json.dumps({"type": "unsubscribe", "workflow_id": first}))
        while (message := await received(socket))["type"] != "feed.unsubscribed":
            continue
        assert message["workflow_id"] == first
        engine.gate.open()
        rest = [await received(socket)]
        while rest[-1]["type"] != "feed.ended":
            rest.append(await received(socket))
        assert {each["workflow_id"] for each in rest} == {second}


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"type": "dance"}, "feed.bad-message"),
        ({"type": "subscribe", "workflow_id": 7}, "feed.bad-message"),
        ({"type": "subscribe", "workflow_id": "a", "from_seq": 0}, "feed.bad-message"),
        ({"type": "subscribe", "workflow_id": "a", "from_seq": True}, "feed.bad-message"),
        ({"type": "subscribe", "workflow_id": "a" * 201}, "feed.bad-message"),
        ({"type": "subscribe", "from_seq": 1}, "feed.bad-message"),
        ({"type": "subscribe", "workflow_id": "a", "from_position": 1}, "feed.bad-message"),
        ({"type": "subscribe", "surprise": 1}, "feed.bad-message"),
        ({}, "feed.bad-message"),
        ([], "feed.bad-message"),
        ("text", "feed.bad-message"),
        (None, "feed.bad-message"),
        ({"type": "unsubscribe"}, "feed.not-subscribed"),
    ],
)
async def test_a_wrong_message_is_told_and_the_socket_lives(engine: Engine, message: Any, code: str) -> None:
    """A client that errs once can go on."""
    async with engine.socket() as socket:
        await socket.send(json.dumps(message))
        answer = await received(socket)
        assert (answer["type"], answer["code"]) == ("feed.error", code)
        assert (await subscribe(socket))["type"] == "feed.subscribed"


async def test_an_unknown_workflow_is_told_by_its_id(engine: Engine) -> None:
    """The error names the subscription that it is about."""
    async with engine.socket() as socket:
        await subscribe(socket, workflow_id="unknown")
        error = await received(socket)
    assert (error["type"], error["code"], error["workflow_id"]) == ("feed.error", "workflow.not-found", "unknown")


async def test_the_same_subscription_twice_is_refused(engine: Engine) -> None:
    """Two of one kind would send everything twice."""
    async with engine.socket() as socket:
        await subscribe(socket)
        assert (await subscribe(socket))["code"] == "feed.already-subscribed"


async def test_a_socket_has_a_bound_of_subscriptions(start_engine: StartEngine) -> None:
    """The one beyond it is refused; the others live."""
    async with start_engine(max_subscriptions=1) as engine, engine.socket() as socket:
        await subscribe(socket)
        assert (await subscribe(socket, workflow_id="a"))["code"] == "feed.too-many-subscriptions"


@pytest.mark.parametrize("raw", ["{", "", "\x00", "[" * 60_000, "nonsense", b"\x00\x01"])
async def test_what_is_not_json_ends_the_socket_with_4400(engine: Engine, raw: str | bytes) -> None:
    """The client is told what is wrong, then the socket is closed."""
    async with engine.socket() as socket:
        await socket.send(raw)
        assert (await received(socket))["code"] == "feed.bad-json"
        assert (await close_of(socket))[0] == 4400


async def test_a_message_beyond_the_limit_ends_the_socket(start_engine: StartEngine) -> None:
    """1009, before it is read as anything."""
    async with start_engine(max_message_bytes=1024) as engine, engine.socket() as socket:
        await socket.send("x" * 5000)
        assert (await close_of(socket))[0] == 1009


async def test_a_slow_reader_is_let_go_with_where_to_go_on_and_misses_nothing(start_engine: StartEngine) -> None:
    """A reader that stops reading is closed with 4008; coming back at the place in the reason gives every event."""
    async with start_engine(reader_buffer_events=10, reader_timeout_s=0.5) as engine:
        wide = {"kind": "echo", "with": {"text": "x" * 2000}, "map": {"items": "${{ range(400) }}"}}
        async with engine.socket(max_queue=1, compression=None) as socket:
            await subscribe(socket)
            socket.transport.pause_reading()
            workflow_id = await engine.start({"name": "wide", "steps": {"wide": wide}})
            state = await engine.backend.wait(workflow_id, 30)
            await engine.hub.vacant()
            socket.transport.resume_reading()
            seen = []
            try:
                while True:
                    seen.append(json.loads(await asyncio.wait_for(socket.recv(), 10)))
            except ConnectionClosed as closed:
                end = closed.rcvd
        assert len(seen) < state.seq
        resume = seen[-1]["position"] + 1
        if end is not None:  # the reason reaches a client that reads again in time
            assert end.code == 4008
            resume = int(end.reason.rpartition("resume_from_position=")[2])
        async with engine.socket() as socket:
            await subscribe(socket, from_position=resume)
            while seen[-1]["type"] != "workflow.succeeded":
                seen.append(await received(socket))
        assert [each["seq"] for each in seen] == list(range(1, state.seq + 1))


@pytest.mark.parametrize(
    ("host", "origin", "code"),
    [
        ("localhost", "https://evil.example", "request.untrusted-origin"),
        ("localhost", "null", "request.untrusted-origin"),
        ("evil.example", "http://evil.example", "request.untrusted-host"),
    ],
)
async def test_a_foreign_page_gets_no_socket(engine: Engine, host: str, origin: str, code: str) -> None:
    """The handshake is refused with a problem document (cross-site WebSocket hijacking, DNS rebinding)."""
    port = int(engine.url.rpartition(":")[2])
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://{host}/ws", host="127.0.0.1", port=port, origin=Origin(origin))
    assert json.loads(refused.value.response.body)["code"] == code


async def test_a_named_page_gets_a_socket(start_engine: StartEngine) -> None:
    """A dashboard served from elsewhere may follow once its origin is named."""
    async with (
        start_engine(allowed_origins=("http://localhost:4200",)) as engine,
        engine.socket(origin="http://localhost:4200") as socket,
    ):
        assert (await subscribe(socket))["type"] == "feed.subscribed"


async def test_no_more_sockets_than_allowed(start_engine: StartEngine) -> None:
    """The one beyond is closed with 1013, and its place is free again when another leaves."""
    async with start_engine(max_readers=1) as engine:
        async with engine.socket() as first:
            await subscribe(first)
            async with engine.socket() as second:
                assert (await close_of(second))[0] == 1013
        await engine.hub.vacant()
        async with engine.socket() as third:
            assert (await subscribe(third))["type"] == "feed.subscribed"


async def test_heartbeats_keep_a_quiet_socket_alive(start_engine: StartEngine) -> None:
    """A client that hears nothing knows that the engine lives."""
    async with start_engine(heartbeat_s=0.05) as engine, engine.socket() as socket:
        message = await received(socket)
    assert message["type"] == "feed.heartbeat"
    assert message["at"].endswith("Z")


async def test_sockets_are_closed_with_1001_when_the_engine_stops(start_engine: StartEngine) -> None:
    """Going away is said, so that a client comes back later and does not give up."""
    async with start_engine() as engine:
        async with engine.socket() as socket:
            await subscribe(socket)
            engine.app.drainer.stopping.set()
            assert (await close_of(socket))[0] == 1001
        await engine.hub.vacant()


async def test_a_client_that_vanishes_leaves_nothing_behind(engine: Engine) -> None:
    """A connection that is cut gives its place back."""
    socket = await engine.socket()
    await subscribe(socket)
    assert engine.hub.readers == 1
    socket.transport.abort()
    await engine.hub.vacant()
