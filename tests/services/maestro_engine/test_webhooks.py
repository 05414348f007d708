"""Webhooks: events are brought to where they were asked for, signed, tried again, and given up in the end."""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from services.maestro_engine.sealing import PlainSeal

from maestro_core_messaging import Delivery, MemoryBroker, RetryPolicy, Subscription
from maestro_engine.webhooks.addresses import check_url, is_open
from maestro_engine.webhooks.contract import WebhookOrder
from maestro_engine.webhooks.errors import AddressRefused, TooManyWebhooks, UnknownDelivery, UnknownWebhook
from maestro_engine.webhooks.outgoing import TOPIC, Outgoing
from maestro_engine.webhooks.service import WebhookService
from maestro_engine.webhooks.signing import TOLERANCE_S, is_genuine, new_secret, signature_headers
from maestro_engine.webhooks.store import WebhookStore
from maestro_workflow_engine import EmbeddedBackend, Event, parse_definition
from maestro_workflow_engine.testing import ScriptedKind, fails

FAST = RetryPolicy(max_attempts=3, initial_delay_s=0.01, max_delay_s=0.01)


@dataclass
class Receiver:
    """A server that takes webhooks, and answers as it is told."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    """Statuses to give, one after the other; then 204."""
    taken: "asyncio.Queue[tuple[dict[str, str], bytes]]" = field(default_factory=asyncio.Queue)

    async def __call__(self, scope: Any, receive: Callable[[], Any], send: Callable[[Any], Any]) -> None:
        """Take one POST."""
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.taken.put_nowait((headers, body))
        status = self.answers.pop(0) if self.answers else 204
        location = [(b"location", b"http://127.0.0.1:1/elsewhere")] if status == 302 else []
        await send({"type": "http.response.start", "status": status, "headers": location})
        await send({"type": "http.response.body", "body": b""})

    async def next(self) -> tuple[dict[str, str], dict[str, Any]]:
        """The next delivery."""
        headers, body = await asyncio.wait_for(self.taken.get(), 20)
        return headers, json.loads(body)


@asynccontextmanager
async def listening(receiver: Receiver) -> AsyncIterator[None]:
    """Serve a receiver on a free loopback port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        receiver.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server = uvicorn.Server(uvicorn.Config(receiver, log_level="error", lifespan="off", ws="none"))
        serving = asyncio.create_task(server.serve([listener]))
        try:
            yield
        finally:
            server.should_exit = True
            await serving


class NotingBroker(MemoryBroker):
    """Tells when a delivery is given up."""

    def __init__(self) -> None:
        super().__init__()
        self.gave_up = asyncio.Event()

    async def subscribe(self, *arguments: Any, **options: Any) -> Subscription:
        """A subscription that tells."""
        subscription = await super().subscribe(*arguments, **options)
        bury = subscription.bury

        async def noting(delivery: Delivery, *, reason: str, error: str) -> None:
            await bury(delivery, reason=reason, error=error)
            self.gave_up.set()

        subscription.bury = noting  # type: ignore[method-assign]  # it tells, and does the same
        return subscription


@dataclass
class World:
    """An engine, a broker, webhooks and someone who listens."""

    backend: EmbeddedBackend
    broker: NotingBroker
    store: WebhookStore
    service: WebhookService
    receiver: Receiver

    def order(self, **more: Any) -> WebhookOrder:
        """A webhook to the receiver."""
        return WebhookOrder(url=f"{self.receiver.url}/hook", **more)

    async def run(self, kind: str = "ok", name: str = "case", **start: Any) -> str:
        """Run a workflow and publish what happened."""
        definition = parse_definition({"name": name, "steps": {"a": {"kind": kind}}})
        started = await self.backend.start(definition, **start)
        await self.backend.wait(started.workflow_id, 20)
        await self.publish(started.workflow_id)
        return started.workflow_id

    async def publish(self, workflow_id: str) -> None:
        """Let all its events out."""
        outgoing = Outgoing(self.broker, self.store, self.backend, source="/maestro")
        for event in await self.backend.events(workflow_id):
            await outgoing.heard(event)


@asynccontextmanager
async def world(tmp_path: Path, *, policy: RetryPolicy = FAST, may_be_private: bool = True) -> AsyncIterator[World]:
    """Everything, on loopback."""
    receiver, store, broker = Receiver(), WebhookStore(tmp_path / "webhooks.db", PlainSeal()), NotingBroker()
    kinds = {"ok": ScriptedKind(), "bad": ScriptedKind(fails(9, retryable=False))}
    try:
        async with (
            listening(receiver),
            EmbeddedBackend(tmp_path / "data", kinds=kinds, synchronous="NORMAL") as backend,
            WebhookService(store, broker, may_be_private=may_be_private, policy=policy) as service,
        ):
            yield World(backend, broker, store, service, receiver)
    finally:
        await broker.close()
        store.close()


async def test_an_event_is_brought_as_a_signed_cloud_event(tmp_path: Path) -> None:
    """The receiver verifies it with the secret that was shown once."""
    async with world(tmp_path) as here:
        made = await here.service.make(here.order())
        workflow_id = await here.run(labels={"team": "a"})
        headers, event = await here.receiver.next()
        body = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        assert is_genuine(made.secret, headers, body, now_s=time.time())
        assert not is_genuine(new_secret(), headers, body, now_s=time.time())
        assert headers["content-type"].startswith("application/cloudevents+json")
        assert (event["type"], event["subject"]) == ("dev.maestro.workflow.succeeded.v1", workflow_id)
        assert event["data"]["name"] == "case"
        assert event["id"] == f"{workflow_id}/{event['data']['seq']}"


async def test_only_what_was_asked_for_comes(tmp_path: Path) -> None:
    """By type, by name, by template."""
    async with world(tmp_path) as here:
        await here.service.make(here.order(types=["workflow.failed"], name="wanted"))
        await here.run("bad", name="other")
        await here.run("ok", name="wanted")
        workflow_id = await here.run("bad", name="wanted")
        _, event = await here.receiver.next()
        assert (event["subject"], event["data"]["type"]) == (workflow_id, "workflow.failed")
        assert here.receiver.taken.empty()


async def test_a_delivery_is_tried_again_until_it_is_taken(tmp_path: Path) -> None:
    """With the same id, so that the receiver knows it again."""
    async with world(tmp_path) as here:
        await here.service.make(here.order())
        here.receiver.answers = [500, 429]
        await here.run()
        ids = {(await here.receiver.next())[0]["webhook-id"] for _ in range(3)}
        assert len(ids) == 1


@pytest.mark.parametrize("status", [400, 401, 404, 410, 302])
async def test_what_the_other_side_does_not_want_is_given_up_at_once(tmp_path: Path, status: int) -> None:
    """A redirect is not followed: it could lead anywhere."""
    async with world(tmp_path) as here:
        made = await here.service.make(here.order())
        here.receiver.answers = [status]
        await here.run()
        await here.receiver.next()
        failed = await eventually_failed(here, made.id)
        assert str(status) in failed["error"]
        assert here.receiver.taken.empty()


async def eventually_failed(here: World, webhook_id: str) -> dict[str, Any]:
    """The first delivery that was given up."""
    await asyncio.wait_for(here.broker.gave_up.wait(), 20)
    found = (await here.service.failed(webhook_id, limit=10, cursor=None)).items
    return found[0].model_dump(mode="json")


async def test_what_was_given_up_is_kept_and_can_be_delivered_again(tmp_path: Path) -> None:
    """By hand."""
    async with world(tmp_path) as here:
        made = await here.service.make(here.order())
        here.receiver.answers = [500, 500, 500]
        workflow_id = await here.run()
        failed = await eventually_failed(here, made.id)
        assert (failed["attempts"], failed["event"]["subject"]) == (3, workflow_id)
        assert (await here.service.view(made.id)).failed == 1
        for _ in range(3):
            await here.receiver.next()
        await here.service.deliver_again(made.id, failed["id"])
        assert (await here.receiver.next())[1]["subject"] == workflow_id
        with pytest.raises(UnknownDelivery):
            await here.service.deliver_again(made.id, failed["id"])


async def test_webhooks_survive_a_restart_and_nothing_they_miss_is_lost(tmp_path: Path) -> None:
    """What happened while nobody served them comes afterwards; secrets are not in the file as they are."""
    receiver, broker = Receiver(), MemoryBroker()
    async with listening(receiver):
        for life in range(2):
            store = WebhookStore(tmp_path / "webhooks.db", PlainSeal())
            async with WebhookService(store, broker, may_be_private=True, policy=FAST) as service:
                if not life:
                    made = await service.make(WebhookOrder(url=f"{receiver.url}/hook", types=["*"]))
                else:
                    assert [each.id for each in (await service.all()).items] == [made.id]
                    assert (await receiver.next())[1]["data"]["seq"] == 1
            if not life:
                async with EmbeddedBackend(tmp_path / "data", kinds={"ok": ScriptedKind()}) as backend:
                    outgoing = Outgoing(broker, store, backend, source="/maestro")
                    data = {"name": "n", "inputs": {}}
                    await outgoing.heard(Event(1, "w", "workflow.started", datetime.now(UTC), data, 7))
                assert store.position() == 7
                assert made.secret.encode() not in (tmp_path / "webhooks.db").read_bytes()
            store.close()
    await broker.close()


async def test_what_comes_twice_out_of_the_journal_is_delivered_once(tmp_path: Path) -> None:
    """As after a crash between publishing and keeping the place."""
    async with world(tmp_path) as here:
        await here.service.make(here.order(types=["*"]))
        workflow_id = await here.run()
        await here.publish(workflow_id)
        seen = [(await here.receiver.next())[1]["data"]["type"] for _ in range(2)]
        assert sorted(seen) == ["workflow.started", "workflow.succeeded"]
        assert (await here.broker.stats(TOPIC)).messages == 2


async def test_a_new_secret_signs_beside_the_earlier_one(tmp_path: Path) -> None:
    """Until the next one, so that a receiver can change over."""
    async with world(tmp_path) as here:
        made = await here.service.make(here.order())
        renewed = await here.service.renew_secret(made.id)
        await here.run()
        headers, event = await here.receiver.next()
        body = json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()
        assert all(is_genuine(each.secret, headers, body, now_s=time.time()) for each in (made, renewed))


async def test_changed_paused_and_removed_webhooks(tmp_path: Path) -> None:
    """A change holds at once; what is not active hears nothing; what is removed is forgotten."""
    async with world(tmp_path) as here:
        made = await here.service.make(here.order())
        view = await here.service.change(made.id, here.order(types=["workflow.started"], description="begins"))
        assert (view.types, view.description) == (["workflow.started"], "begins")
        await here.run()
        assert (await here.receiver.next())[1]["data"]["type"] == "workflow.started"
        assert not (await here.service.change(made.id, here.order(is_active=False))).is_active
        await here.service.remove(made.id)
        for question in (here.service.view(made.id), here.service.remove(made.id), here.service.renew_secret(made.id)):
            with pytest.raises(UnknownWebhook):
                await question


async def test_a_webhook_that_was_never_active_has_nothing_to_tell(tmp_path: Path) -> None:
    """And can be removed."""
    async with world(tmp_path) as here:
        made = await here.service.make(here.order(is_active=False))
        assert (await here.service.failed(made.id, limit=10, cursor=None)).items == []
        with pytest.raises(UnknownDelivery):
            await here.service.deliver_again(made.id, "1")
        await here.service.remove(made.id)


async def test_too_large_events_go_out_without_what_is_large(tmp_path: Path) -> None:
    """And say what was left out."""
    async with world(tmp_path) as here:
        await here.service.make(here.order(types=["workflow.started"]))
        outgoing = Outgoing(here.broker, here.store, here.backend, source="/maestro")
        data = {"name": "n", "inputs": {"x": "y" * 100_000}, "labels": {}}
        await outgoing.heard(Event(1, "w", "workflow.started", datetime.now(UTC), data, 1))
        _, event = await here.receiver.next()
        assert event["data"]["left_out"] == ["inputs"]
        assert "inputs" not in event["data"]["data"]


async def test_there_is_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On how many there are."""
    monkeypatch.setattr("maestro_engine.webhooks.service.MAX_WEBHOOKS", 1)
    async with world(tmp_path) as here:
        await here.service.make(here.order())
        with pytest.raises(TooManyWebhooks):
            await here.service.make(here.order())


# --- addresses ---


@pytest.mark.parametrize(
    "url",
    ["http://user:pw@host/", "http://user@host/", "http:///x", "http://host:0/", "http://host:99999/", "http://[x/"],
)
def test_urls_that_no_webhook_can_have_are_refused(url: str) -> None:
    """Without repeating them."""
    with pytest.raises(AddressRefused) as refused:
        check_url(url)
    assert "pw" not in str(refused.value)


@pytest.mark.parametrize(
    ("address", "private", "world_wide"),
    [
        ("8.8.8.8", True, True),
        ("2606:4700::1111", True, True),
        ("127.0.0.1", True, False),
        ("10.0.0.1", True, False),
        ("192.168.1.1", True, False),
        ("::1", True, False),
        ("169.254.169.254", False, False),
        ("::ffff:169.254.169.254", False, False),
        ("fe80::1", False, False),
        ("0.0.0.0", False, False),
        ("224.0.0.1", False, False),
    ],
)
def test_where_webhooks_may_go(address: str, private: bool, world_wide: bool) -> None:
    """Never to link-local addresses, and into the house only where that is allowed."""
    assert is_open(ip_address(address), may_be_private=True) is private
    assert is_open(ip_address(address), may_be_private=False) is world_wide


async def test_a_webhook_into_the_house_is_given_up_where_that_is_not_allowed(tmp_path: Path) -> None:
    """Nothing is sent."""
    async with world(tmp_path, may_be_private=False) as here:
        made = await here.service.make(here.order())
        await here.run()
        assert "closed" in (await eventually_failed(here, made.id))["error"]
        assert here.receiver.taken.empty()


# --- signatures ---


def test_a_signature_is_that_of_standard_webhooks() -> None:
    """The example of its specification."""
    headers = signature_headers(
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        id_="msg_p5jXN8AQM9LWM0D4loKWxJek",
        at_s=1614265330,
        body=b'{"test": 2432232314}',
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("change", ["body", "id", "time", "old", "missing", "nonsense"])
def test_whatever_is_changed_is_found(change: str) -> None:
    """Body, id, time; and an old delivery is no new one."""
    secret, body = new_secret(), b"{}"
    headers = signature_headers([secret], id_="1", at_s=1000, body=body)
    now_s = 1000.0
    if change == "body":
        body = b"{ }"
    elif change == "id":
        headers["webhook-id"] = "2"
    elif change == "time":
        headers["webhook-timestamp"] = "1001"
    elif change == "old":
        now_s += TOLERANCE_S + 1
    elif change == "missing":
        del headers["webhook-signature"]
    else:
        headers["webhook-timestamp"] = "soon"
    assert not is_genuine(secret, headers, body, now_s=now_s)
