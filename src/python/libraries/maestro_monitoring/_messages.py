"""Middlewares for consumers of messages, by shape: any delivery with `message`, `attempt`, `topic` and `group`."""

import dataclasses
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from opentelemetry import trace
from opentelemetry.trace import Link, SpanKind, TracerProvider

from maestro_monitoring._contract import WORK_S
from maestro_monitoring._labels import Label, clean_value
from maestro_monitoring._metrics import Metrics
from maestro_monitoring._tracing import TRACE_HEADERS, open_span, remote_context, trace_headers


class EventMessage(Protocol):
    """What is read of a message: a frozen dataclass with the attributes of a CloudEvent."""

    @property
    def id(self) -> str: ...

    @property
    def extensions(self) -> Mapping[str, str]: ...


class Delivery(Protocol):
    """What is read of a delivery."""

    @property
    def message(self) -> Any: ...

    @property
    def attempt(self) -> int: ...

    @property
    def topic(self) -> str: ...

    @property
    def group(self) -> str: ...


DeliveryT = TypeVar("DeliveryT", bound=Delivery)
MessageT = TypeVar("MessageT", bound=EventMessage)


class MessageMeters:
    """What is measured of consumers."""

    def __init__(self, metrics: Metrics) -> None:
        where = ("messaging_destination_name", "messaging_consumer_group_name")
        self.duration = metrics.histogram(
            "messaging_process_duration_seconds",
            "Handling of one delivery.",
            labels=(*where, Label("outcome", frozenset({"handled", "failed"}))),
            buckets=WORK_S,
        )
        self.age = metrics.histogram(
            "maestro_message_age_seconds",
            "From the time of a message to its first delivery: how far a group lags behind.",
            labels=where,
            buckets=WORK_S,
        )
        self.retries = metrics.counter(
            "maestro_message_retries_total", "Deliveries that were not the first of their message.", labels=where
        )
        self.dead = metrics.counter(
            "maestro_message_dead_total", "Messages that were given up after this delivery.", labels=where
        )


class MessageMetrics:
    """Consumer middleware: deliveries handled and failed, retries, dead letters, duration, and lag as age.

    A message counts as dead when its error says that no retry can help (`retryable` is False), or when its attempt has
    reached `max_attempts`: give the number of the subscription, or None if it has none.
    """

    def __init__(
        self,
        metrics: Metrics,
        *,
        max_attempts: int | None = None,
        monotonic: Callable[[], float] = time.perf_counter,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._meters = MessageMeters(metrics)
        self._max_attempts = max_attempts
        self._monotonic = monotonic
        self._now = now

    async def __call__(self, delivery: DeliveryT, call_next: Callable[[DeliveryT], Awaitable[None]]) -> None:
        """Pass one delivery on, and measure it."""
        where = (delivery.topic, delivery.group)
        self._arrived(delivery, where)
        begun_s = self._monotonic()
        outcome = "failed"
        try:
            await call_next(delivery)
            outcome = "handled"
        except Exception as error:
            if getattr(error, "retryable", True) is False or self._is_last(delivery):
                self._meters.dead.labels(*where).inc()
            raise
        finally:
            self._meters.duration.labels(*where, outcome).observe(max(0.0, self._monotonic() - begun_s))

    def _is_last(self, delivery: Delivery) -> bool:
        return self._max_attempts is not None and delivery.attempt >= self._max_attempts

    def _arrived(self, delivery: Delivery, where: tuple[str, str]) -> None:
        if delivery.attempt > 1:
            self._meters.retries.labels(*where).inc()
            return
        sent_at = getattr(delivery.message, "time", None)
        if isinstance(sent_at, datetime) and sent_at.tzinfo is not None:
            # The clocks of two machines differ: a message from the future is one that has just been sent.
            self._meters.age.labels(*where).observe(max(0.0, (self._now() - sent_at).total_seconds()))


class MessageTracing:
    """Spans for messages: `sending` on the producer's side; as a consumer middleware, one span for each delivery.

    As the messaging conventions have it, the span of a delivery is linked to the one that made the message, in a trace
    of its own or in the current one; with `as_parent` it continues the trace of the message too.
    """

    def __init__(
        self, *, system: str = "maestro", as_parent: bool = False, provider: TracerProvider | None = None
    ) -> None:
        self._system = system
        self._as_parent = as_parent
        self._provider = provider

    async def __call__(self, delivery: DeliveryT, call_next: Callable[[DeliveryT], Awaitable[None]]) -> None:
        """Pass one delivery on, inside its span."""
        creation = remote_context(_trace_context(delivery.message.extensions))
        creator = trace.get_current_span(creation).get_span_context()
        attributes: dict[str, str | int] = {
            **self._attributes("process", delivery.topic, delivery.message),
            "messaging.consumer.group.name": clean_value(delivery.group),
            "messaging.message.delivery_attempt": delivery.attempt,
        }
        with open_span(
            f"process {delivery.topic}",
            attributes,
            kind=SpanKind.CONSUMER,
            links=[Link(creator)] if creator.is_valid else [],
            context=creation if self._as_parent and creator.is_valid else None,
            provider=self._provider,
        ):
            await call_next(delivery)

    @contextmanager
    def sending(self, topic: str, message: MessageT) -> Iterator[MessageT]:
        """A span around publishing; yields the message to publish, with `traceparent` among its extensions.

        A message that carries a trace context keeps it, and the span is linked to that.
        """
        given = remote_context(_trace_context(message.extensions))
        creator = trace.get_current_span(given).get_span_context()
        with open_span(
            f"send {topic}",
            self._attributes("send", topic, message),
            kind=SpanKind.PRODUCER,
            links=[Link(creator)] if creator.is_valid else [],
            provider=self._provider,
        ):
            if creator.is_valid or not (headers := trace_headers()):
                yield message
            else:
                yield _with_extensions(message, {**message.extensions, **headers})

    def _attributes(self, operation: str, topic: str, message: EventMessage) -> dict[str, str]:
        return {
            "messaging.system": self._system,
            "messaging.destination.name": clean_value(topic),
            "messaging.operation.name": operation,
            "messaging.operation.type": operation,
            "messaging.message.id": clean_value(message.id),
        }


def _trace_context(extensions: Mapping[str, str]) -> dict[str, list[str]]:
    return {name: [extensions[name]] for name in TRACE_HEADERS if isinstance(extensions.get(name), str)}


def _with_extensions(message: MessageT, extensions: Mapping[str, str]) -> MessageT:
    return dataclasses.replace(message, extensions=extensions)  # type: ignore[type-var]  # a dataclass, says the shape
