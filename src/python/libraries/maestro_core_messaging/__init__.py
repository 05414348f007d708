"""Publish and subscribe with CloudEvents: at-least-once delivery, groups, order per key, retries and dead letters."""

from maestro_core_messaging._broker import (
    Broker,
    DeadLetter,
    Delivery,
    GroupStats,
    Start,
    Stored,
    Subscription,
    TopicStats,
)
from maestro_core_messaging._consumer import Consumer, Handler, Middleware
from maestro_core_messaging._errors import (
    BrokerClosed,
    BrokerError,
    BrokerUnavailable,
    BrokerUnsupported,
    HandlerTimedOut,
    InvalidMessage,
    InvalidSetting,
    LeaseLost,
    MessagingError,
    StoreUnreadable,
    TopicFull,
    UnknownGroup,
)
from maestro_core_messaging._inbox import Inbox, SqliteInbox
from maestro_core_messaging._message import DATA_LIMIT_BYTES, Message
from maestro_core_messaging._outbox import OutboxMessage, outbox_publisher
from maestro_core_messaging._policy import RetryPolicy
from maestro_core_messaging._sqlite._broker import MemoryBroker, SqliteBroker

__all__ = [
    "DATA_LIMIT_BYTES",
    "Broker",
    "BrokerClosed",
    "BrokerError",
    "BrokerUnavailable",
    "BrokerUnsupported",
    "Consumer",
    "DeadLetter",
    "Delivery",
    "GroupStats",
    "Handler",
    "HandlerTimedOut",
    "Inbox",
    "InvalidMessage",
    "InvalidSetting",
    "LeaseLost",
    "MemoryBroker",
    "Message",
    "MessagingError",
    "Middleware",
    "OutboxMessage",
    "RetryPolicy",
    "SqliteBroker",
    "SqliteInbox",
    "Start",
    "StoreUnreadable",
    "Stored",
    "Subscription",
    "TopicFull",
    "TopicStats",
    "UnknownGroup",
    "outbox_publisher",
]
