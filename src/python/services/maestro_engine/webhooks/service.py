"""Webhooks as a caller sees them: made, changed, watched over, and served while the engine runs."""

import asyncio
import contextlib
import json
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, Self

import httpx2

from maestro_core_messaging import Broker, Consumer, GroupStats, RetryPolicy, UnknownGroup
from maestro_engine.webhooks.addresses import check_url
from maestro_engine.webhooks.contract import (
    FailedDeliveries,
    FailedDelivery,
    WebhookMade,
    WebhookOrder,
    Webhooks,
    WebhookView,
)
from maestro_engine.webhooks.delivery import Courier
from maestro_engine.webhooks.errors import TooManyWebhooks, UnknownDelivery, UnknownWebhook
from maestro_engine.webhooks.outgoing import TOPIC
from maestro_engine.webhooks.signing import new_secret
from maestro_engine.webhooks.store import Webhook, WebhookStore

MAX_WEBHOOKS: Final = 100
PATIENCE: Final = RetryPolicy(max_attempts=14, initial_delay_s=2.0, multiplier=2.0, max_delay_s=3600.0)
"""Over one and a half to three hours; then the delivery is given up, kept, and can be made again by hand."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class WebhookService:
    """Serves every active webhook inside `async with`: each has a group of its own at the broker.

    An event that is not taken holds up later ones of the same workflow to the same webhook, and nothing else.
    """

    def __init__(
        self,
        store: WebhookStore,
        broker: Broker,
        *,
        may_be_private: bool,
        before_first: Callable[[], Awaitable[None]] | None = None,
        policy: RetryPolicy = PATIENCE,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._store = store
        self._broker = broker
        self._may_be_private = may_be_private
        self._before_first = before_first
        self._policy = policy
        self._clock = clock
        self._client: httpx2.AsyncClient | None = None
        self._webhooks: dict[str, Webhook] = {}
        self._served: dict[str, AsyncExitStack] = {}
        self._changing = asyncio.Lock()

    @property
    def is_needed(self) -> bool:
        """Whether there is any webhook."""
        return bool(self._webhooks)

    async def __aenter__(self) -> Self:
        """Raises ValueError when a secret cannot be opened: the key is not the one that it was sealed with."""
        self._webhooks = {each.id: each for each in await asyncio.to_thread(self._store.all)}
        self._client = httpx2.AsyncClient(trust_env=False)
        for webhook in self._webhooks.values():
            await self._serve(webhook)
        return self

    async def __aexit__(self, *error: object) -> None:
        await asyncio.gather(*(stack.aclose() for stack in self._served.values()))
        self._served.clear()
        if self._client is not None:
            await self._client.aclose()

    async def _serve(self, webhook: Webhook) -> None:
        """Begin to deliver, or stop when it is not active."""
        earlier = self._served.pop(webhook.id, None)
        if earlier is not None:
            await earlier.aclose()
        if webhook.is_active and self._client is not None:
            courier = Courier(webhook, self._client, may_be_private=self._may_be_private)
            stack = AsyncExitStack()
            consumer = Consumer(
                self._broker,
                TOPIC,
                webhook.id,
                courier.bring,
                policy=self._policy,
                concurrency=16,
                start="now",
                stop_timeout_s=2.0,
            )
            await stack.enter_async_context(consumer)
            self._served[webhook.id] = stack

    async def make(self, order: WebhookOrder) -> WebhookMade:
        """A new webhook, which hears what happens from now on; raises AddressRefused, TooManyWebhooks."""
        check_url(order.url)
        async with self._changing:
            if len(self._webhooks) >= MAX_WEBHOOKS:
                raise TooManyWebhooks(MAX_WEBHOOKS)
            secret = new_secret()
            if not self._webhooks and self._before_first is not None:
                await self._before_first()
            webhook = _webhook(f"wh_{secrets.token_hex(12)}", order, (secret,), self._clock())
            await self._keep(webhook)
        return WebhookMade(id=webhook.id, secret=secret)

    async def change(self, webhook_id: str, order: WebhookOrder) -> WebhookView:
        """The same webhook with another order; raises UnknownWebhook, AddressRefused."""
        check_url(order.url)
        async with self._changing:
            old = self._known(webhook_id)
            await self._keep(_webhook(old.id, order, old.secrets, old.created_at))
        return await self.view(webhook_id)

    async def renew_secret(self, webhook_id: str) -> WebhookMade:
        """A new secret; until the next one, deliveries are signed with the earlier one too. Raises UnknownWebhook."""
        async with self._changing:
            old, secret = self._known(webhook_id), new_secret()
            await self._keep(replace(old, secrets=(secret, old.secrets[0])))
        return WebhookMade(id=webhook_id, secret=secret)

    async def _keep(self, webhook: Webhook) -> None:
        await asyncio.to_thread(self._store.put, webhook)
        self._webhooks[webhook.id] = webhook
        await self._serve(webhook)

    async def remove(self, webhook_id: str) -> None:
        """Forget a webhook and what it has not been told; raises UnknownWebhook."""
        async with self._changing:
            self._known(webhook_id)
            await asyncio.to_thread(self._store.remove, webhook_id)
            del self._webhooks[webhook_id]
            served = self._served.pop(webhook_id, None)
            if served is not None:
                await served.aclose()
            with contextlib.suppress(UnknownGroup):  # it has never been active
                await self._broker.remove_group(TOPIC, webhook_id)

    async def view(self, webhook_id: str) -> WebhookView:
        """One webhook; raises UnknownWebhook."""
        webhook = self._known(webhook_id)
        return _view(webhook, await self._groups())

    async def all(self) -> Webhooks:
        """Every webhook, the oldest first."""
        groups = await self._groups()
        return Webhooks(items=[_view(each, groups) for each in self._webhooks.values()])

    async def failed(self, webhook_id: str, *, limit: int, cursor: str | None) -> FailedDeliveries:
        """Deliveries that were given up, the oldest first; raises UnknownWebhook."""
        self._known(webhook_id)
        try:
            letters = await self._broker.dead_letters(TOPIC, webhook_id, after=cursor or "", limit=limit)
        except UnknownGroup:  # it has never been active
            letters = []
        items = [
            FailedDelivery(
                id=letter.id,
                event=json.loads(letter.body),
                reason=letter.reason,
                error=letter.error,
                attempts=letter.attempts,
                at=letter.dead_at,
            )
            for letter in letters
        ]
        return FailedDeliveries(items=items, next=letters[-1].id if len(letters) == limit else None)

    async def deliver_again(self, webhook_id: str, delivery_id: str) -> None:
        """Try a delivery again that was given up; raises UnknownWebhook, UnknownDelivery."""
        self._known(webhook_id)
        try:
            is_there = await self._broker.replay(TOPIC, webhook_id, delivery_id)
        except UnknownGroup:
            is_there = False
        if not is_there:
            raise UnknownDelivery(delivery_id)

    def _known(self, webhook_id: str) -> Webhook:
        webhook = self._webhooks.get(webhook_id)
        if webhook is None:
            raise UnknownWebhook(webhook_id)
        return webhook

    async def _groups(self) -> dict[str, GroupStats]:
        return {group.group: group for group in (await self._broker.stats(TOPIC)).groups}


def _webhook(id_: str, order: WebhookOrder, keys: tuple[str, ...], created_at: datetime) -> Webhook:
    return Webhook(
        id=id_,
        url=order.url,
        types=tuple(order.types),
        template=order.template,
        name=order.name,
        is_active=order.is_active,
        description=order.description,
        secrets=keys,
        created_at=created_at,
    )


def _view(webhook: Webhook, groups: dict[str, GroupStats]) -> WebhookView:
    group = groups.get(webhook.id)
    return WebhookView(
        id=webhook.id,
        url=webhook.url,
        types=list(webhook.types),
        template=webhook.template,
        name=webhook.name,
        is_active=webhook.is_active,
        description=webhook.description,
        created_at=webhook.created_at,
        waiting=0 if group is None else group.waiting,
        failed=0 if group is None else group.dead,
    )
