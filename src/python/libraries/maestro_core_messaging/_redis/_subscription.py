"""RedisSubscription: a membership in a group of a topic on Redis."""

import logging
import time
from collections.abc import Sequence
from typing import Final

from maestro_core_messaging._broker import Delivery
from maestro_core_messaging._errors import InvalidMessage, LeaseLost
from maestro_core_messaging._message import Message
from maestro_core_messaging._redis import _scripts
from maestro_core_messaging._redis._keys import Keys
from maestro_core_messaging._redis._link import Link, NoGroup

_LOG: Final = logging.getLogger("maestro_core_messaging")


class RedisSubscription:
    """Takes and settles by scripts; waits for the stream and for the group's bell."""

    def __init__(self, link: Link, keys: Keys, topic: str, group: str, lease_s: float) -> None:
        self._link = link
        self._keys = keys
        self._topic = topic
        self._group = group
        self._lease_ms = max(1, int(lease_s * 1000))
        self._group_keys = keys.of_group(group)
        self._last = {keys.stream: b"0-0", keys.wake(group): b"0-0"}
        self._look_at_s: float | None = 0.0

    async def join(self, start: str) -> None:
        """Make the group where there is none, beginning at the entry after `start`."""
        keys = [*self._group_keys, self._keys.topics, self._keys.topic]
        await self._link.script(_scripts.JOIN, keys, self._group, start, self._lease_ms)

    async def take(self, count: int) -> list[Delivery]:
        try:
            taken, look_in_ms, last_entry, last_ring = await self._link.script(
                _scripts.TAKE, self._group_keys, self._group, count, self._lease_ms
            )
        except NoGroup:
            _LOG.warning("topic %s: the group %s is gone; it begins again", self._topic, self._group)
            await self.join("0")
            self._look_at_s = 0.0
            return []
        self._last = dict(zip(self._last, (last_entry, last_ring), strict=True))
        self._look_at_s = None if look_in_ms < 0 else time.monotonic() + look_in_ms / 1000
        deliveries = []
        for position, attempt, token, body in taken:
            try:
                message = Message.from_json(body)
            except InvalidMessage as error:
                await self._settle(position, token, "bury", "unreadable", str(error), attempt)
                self._look_at_s = 0.0  # one of its key may have come forward
            else:
                deliveries.append(Delivery(message, self._topic, self._group, attempt, position.decode(), token))
        return deliveries

    async def wait(self, timeout_s: float) -> None:
        if self._look_at_s is not None:
            timeout_s = min(timeout_s, self._look_at_s - time.monotonic())
        if timeout_s > 0:
            await self._link.wait(self._last, timeout_s)

    async def extend(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        pairs = [part for delivery in deliveries for part in (delivery.position, delivery.token)]
        try:
            lost = set(await self._link.script(_scripts.EXTEND, self._group_keys, self._group, self._lease_ms, *pairs))
        except NoGroup:
            return [*deliveries]
        return [delivery for delivery in deliveries if delivery.position.encode() in lost]

    async def ack(self, delivery: Delivery) -> None:
        await self._settle_or_raise(delivery, "ack")

    async def retry(self, delivery: Delivery, *, delay_s: float) -> None:
        await self._settle_or_raise(delivery, "retry", int(delay_s * 1000))

    async def give_back(self, delivery: Delivery) -> None:
        await self._settle_or_raise(delivery, "give_back")

    async def bury(self, delivery: Delivery, *, reason: str, error: str) -> None:
        await self._settle_or_raise(delivery, "bury", reason, error, delivery.attempt)

    async def close(self) -> None:
        """Nothing is held that a lease does not bound."""

    async def _settle_or_raise(self, delivery: Delivery, what: str, *more: str | int) -> None:
        if not await self._settle(delivery.position, delivery.token, what, *more):
            raise LeaseLost(f"message {delivery.position} is no longer leased to this consumer")

    async def _settle(self, position: str | bytes, token: int, what: str, *more: str | int) -> bool:
        return bool(
            await self._link.script(_scripts.SETTLE, self._group_keys, self._group, position, token, what, *more)
        )
