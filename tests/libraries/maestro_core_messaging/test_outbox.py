"""From the rows of an outbox to a broker."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pytest

from maestro_core_messaging import InvalidMessage, MemoryBroker, Message, outbox_publisher


@dataclass(frozen=True)
class Row:
    """As maestro-core-db's relay hands it on."""

    topic: str = "orders"
    key: str | None = "customer-3"
    id: str = "7"
    source: str = "/shop"
    type: str = "order.paid.v1"
    subject: str | None = "order/7"
    at: datetime = datetime(2026, 5, 17, tzinfo=UTC)
    data: Any = field(default_factory=lambda: {"order": 7})
    datacontenttype: str = "application/json"
    dataschema: str | None = None
    extensions: Mapping[str, str] = field(default_factory=lambda: {"tenant": "t1"})
    attempt: int = 1


async def test_a_row_becomes_a_message_and_twice_the_same_row_one() -> None:
    broker = MemoryBroker()
    publish = outbox_publisher(broker)
    await publish(Row())
    await publish(Row(attempt=2))
    assert [stored.message for stored in await broker.read("orders")] == [
        Message(
            id="7",
            source="/shop",
            type="order.paid.v1",
            subject="order/7",
            time=datetime(2026, 5, 17, tzinfo=UTC),
            data={"order": 7},
            datacontenttype="application/json",
            extensions={"tenant": "t1", "partitionkey": "customer-3"},
        )
    ]
    await broker.close()


async def test_a_row_without_a_key_has_none() -> None:
    broker = MemoryBroker()
    await outbox_publisher(broker)(Row(key=None))
    assert [stored.message.key for stored in await broker.read("orders") if stored.message] == [None]
    await broker.close()


async def test_a_row_that_can_never_be_published_is_refused_for_good() -> None:
    broker = MemoryBroker()
    publish = outbox_publisher(broker)
    for row in (replace(Row(), type=""), replace(Row(), extensions={"partitionkey": "another"})):
        with pytest.raises(InvalidMessage) as caught:
            await publish(row)
        assert not caught.value.retryable
    await broker.close()
