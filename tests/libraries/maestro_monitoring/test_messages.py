"""Middlewares for consumers, on any delivery of the agreed shape: what is counted, and how spans hang together."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from maestro_monitoring import MessageMetrics, MessageTracing, Metrics, span
from maestro_monitoring.testing import ManualClock, MetricsRecorder, SpanRecorder

SENT_AT = datetime(2026, 1, 1, tzinfo=UTC)
WHERE = {"messaging_destination_name": "orders", "messaging_consumer_group_name": "packers"}


@dataclass(frozen=True)
class Message:
    """A CloudEvent as far as these middlewares read it."""

    id: str = "m-1"
    time: datetime | None = SENT_AT
    extensions: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Delivery:
    """One delivery of it."""

    message: Message = field(default_factory=Message)
    attempt: int = 1
    topic: str = "orders"
    group: str = "packers"


class Hopeless(Exception):
    """An error that no retry can mend."""

    retryable = False


async def _done(delivery: Delivery) -> None:
    assert delivery.topic == "orders"


def _failing(error: Exception) -> object:
    async def fail(delivery: Delivery) -> None:
        raise error

    return fail


class Counted:
    """A middleware on a clock that stands 90 s after the message was sent, and what it counts."""

    def __init__(self, max_attempts: int | None = None) -> None:
        self.metrics = Metrics()
        self.seen = MetricsRecorder(self.metrics)
        self.clock = ManualClock(SENT_AT + timedelta(seconds=90))
        self.middleware = MessageMetrics(
            self.metrics, max_attempts=max_attempts, monotonic=self.clock.monotonic, now=self.clock.now
        )

    async def failed(self, error: Exception, attempt: int = 1) -> None:
        """Have one delivery fail."""
        with pytest.raises(type(error)):
            await self.middleware(Delivery(attempt=attempt), _failing(error))  # type: ignore[arg-type]  # a handler


async def test_handled_deliveries_are_timed_and_their_lag_is_measured() -> None:
    """Duration on the monotonic clock, lag from the time of the message."""
    counted = Counted()

    async def slow(delivery: Delivery) -> None:
        await counted.clock.advance(3.0)

    await counted.middleware(Delivery(), slow)
    seen = counted.seen
    assert seen.delta("messaging_process_duration_seconds_sum", **WHERE, outcome="handled") == 3.0
    assert seen.delta("maestro_message_age_seconds_sum", **WHERE) == 90.0
    assert seen.delta("maestro_message_retries_total") == 0


async def test_a_failed_delivery_is_counted_and_goes_on_as_it_was() -> None:
    """The exception is the handler's; what comes again is a retry, and says nothing about lag."""
    counted = Counted(max_attempts=3)
    await counted.failed(OSError())
    await counted.failed(OSError(), attempt=2)
    seen = counted.seen
    assert seen.delta("messaging_process_duration_seconds_count", **WHERE, outcome="failed") == 2
    assert seen.delta("maestro_message_retries_total", **WHERE) == 1
    assert seen.delta("maestro_message_age_seconds_count") == 1
    assert seen.delta("maestro_message_dead_total") == 0


async def test_a_message_is_dead_after_its_last_attempt_or_when_no_retry_can_help() -> None:
    """Counted at the delivery that decides it."""
    counted = Counted(max_attempts=3)
    await counted.failed(OSError(), attempt=3)
    await counted.failed(Hopeless())
    await counted.failed(OSError(), attempt=4)  # the limit was lowered while it waited
    assert counted.seen.delta("maestro_message_dead_total", **WHERE) == 3
    unbounded = Counted()
    await unbounded.failed(OSError(), attempt=99)
    assert unbounded.seen.delta("maestro_message_dead_total") == 0


@pytest.mark.parametrize("sent_at", [None, SENT_AT.replace(tzinfo=None), SENT_AT + timedelta(days=1)])
async def test_a_message_without_a_usable_time_breaks_nothing(sent_at: datetime | None) -> None:
    """No time, a naive one, one in the future: at worst, it is as young as can be."""
    counted = Counted()
    await counted.middleware(Delivery(Message(time=sent_at)), _done)
    assert counted.seen.delta("maestro_message_age_seconds_sum") == 0.0
    assert counted.seen.delta("messaging_process_duration_seconds_count", outcome="handled") == 1


def _ids(found: ReadableSpan) -> tuple[int, int]:
    assert found.context is not None
    return found.context.trace_id, found.context.span_id


def _links(found: ReadableSpan) -> list[tuple[int, int]]:
    return [(link.context.trace_id, link.context.span_id) for link in found.links]


async def _sent_and_handled(tracing: MessageTracing) -> Message:
    with tracing.sending("orders", Message(extensions={"partitionkey": "7"})) as message:
        sent = message

    async def handle(delivery: Delivery) -> None:
        with span("packing"):
            assert delivery.message is sent

    await tracing(Delivery(sent, attempt=2), handle)
    return sent


async def test_the_span_of_a_delivery_is_linked_to_the_one_that_sent_it() -> None:
    """Two traces, joined by a link; the message carries the sender's `traceparent` beside its other extensions."""
    recorder = SpanRecorder()
    sent = await _sent_and_handled(MessageTracing(provider=recorder.provider))
    sending, handling, inner = (recorder.named(name) for name in ("send orders", "process orders", "packing"))
    assert set(sent.extensions) == {"partitionkey", "traceparent"}
    assert f"{_ids(sending)[0]:032x}-{_ids(sending)[1]:016x}" in sent.extensions["traceparent"]
    assert (sending.kind, handling.kind) == (SpanKind.PRODUCER, SpanKind.CONSUMER)
    assert _links(handling) == [_ids(sending)]
    assert handling.parent is None
    assert _ids(handling)[0] != _ids(sending)[0]
    assert inner.parent is not None
    assert inner.parent.span_id == _ids(handling)[1]


async def test_a_delivery_may_continue_the_trace_of_its_sender() -> None:
    """With `as_parent`: one trace, and the link as well."""
    recorder = SpanRecorder()
    await _sent_and_handled(MessageTracing(as_parent=True, provider=recorder.provider))
    sending, handling = recorder.named("send orders"), recorder.named("process orders")
    assert handling.parent is not None
    assert handling.parent.span_id == _ids(sending)[1]
    assert _links(handling) == [_ids(sending)]


async def test_the_attributes_are_those_of_the_messaging_conventions() -> None:
    """Where, what, which message, and the attempt."""
    recorder = SpanRecorder()
    await _sent_and_handled(MessageTracing(system="redis", provider=recorder.provider))
    assert dict(recorder.named("process orders").attributes or {}) == {
        "messaging.system": "redis",
        "messaging.destination.name": "orders",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.message.id": "m-1",
        "messaging.consumer.group.name": "packers",
        "messaging.message.delivery_attempt": 2,
    }
    assert (recorder.named("send orders").attributes or {})["messaging.operation.type"] == "send"


async def test_a_message_that_carries_a_context_keeps_it() -> None:
    """Whoever made it is its creator; the span of sending is linked to that one."""
    recorder = SpanRecorder()
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    given = Message(extensions={"traceparent": parent})
    with MessageTracing(provider=recorder.provider).sending("orders", given) as message:
        assert message is given
    links = _links(recorder.named("send orders"))
    assert [f"{trace:032x}-{span_id:016x}" in parent for trace, span_id in links] == [True]


@pytest.mark.parametrize("extensions", [{}, {"traceparent": "rubbish"}, {"traceparent": 7}, {"tracestate": "a=1"}])
async def test_a_message_without_a_usable_context_is_handled_in_a_trace_of_its_own(extensions: dict[str, str]) -> None:
    """Whatever strangers put there."""
    recorder = SpanRecorder()
    await MessageTracing(as_parent=True, provider=recorder.provider)(Delivery(Message(extensions=extensions)), _done)
    assert _links(recorder.named("process orders")) == []


async def test_a_handler_that_fails_marks_its_span() -> None:
    """And the exception goes on."""
    recorder = SpanRecorder()
    with pytest.raises(Hopeless):
        await MessageTracing(provider=recorder.provider)(Delivery(), _failing(Hopeless("token=hunter2secret")))  # type: ignore[arg-type]  # a handler
    found = recorder.named("process orders")
    assert found.status.status_code is StatusCode.ERROR
    assert "hunter2secret" not in found.to_json()


async def test_without_an_sdk_a_message_goes_out_as_it_came() -> None:
    """There is nothing to carry, and nothing is invented."""
    given = Message()
    with MessageTracing().sending("orders", given) as message:
        assert message is given
