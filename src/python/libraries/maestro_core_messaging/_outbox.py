"""The way from an outbox table to a broker, by the shape of its rows."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Protocol

from maestro_core_messaging._broker import Broker
from maestro_core_messaging._errors import InvalidMessage
from maestro_core_messaging._message import Message


class OutboxMessage(Protocol):
    """A row of an outbox: where it goes, the key of its order, and a CloudEvent's attributes; `at` is its time."""

    @property
    def topic(self) -> str: ...
    @property
    def key(self) -> str | None: ...
    @property
    def id(self) -> str: ...
    @property
    def source(self) -> str: ...
    @property
    def type(self) -> str: ...
    @property
    def subject(self) -> str | None: ...
    @property
    def at(self) -> datetime: ...
    @property
    def data(self) -> Any: ...
    @property
    def datacontenttype(self) -> str | None: ...
    @property
    def dataschema(self) -> str | None: ...
    @property
    def extensions(self) -> Mapping[str, str]: ...


def outbox_publisher(broker: Broker) -> Callable[[OutboxMessage], Awaitable[None]]:
    """The function that an outbox's relay calls for each row: it returns when the broker has the message durably.

    A row that is published twice is one message where the broker remembers source and id. Raises InvalidMessage for a
    row that can never be published, and BrokerUnavailable or TopicFull for one that should be tried again.
    """

    async def publish(row: OutboxMessage) -> None:
        extensions = dict(row.extensions)
        if row.key is not None and extensions.setdefault("partitionkey", row.key) != row.key:
            raise InvalidMessage("key: differs from the extension partitionkey")
        message = Message(
            id=row.id,
            source=row.source,
            type=row.type,
            subject=row.subject,
            time=row.at,
            data=row.data,
            datacontenttype=row.datacontenttype,
            dataschema=row.dataschema,
            extensions=extensions,
        )
        await broker.publish(row.topic, message)

    return publish
