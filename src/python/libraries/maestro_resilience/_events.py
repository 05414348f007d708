"""What policies tell about themselves: small frozen events, given to listeners as they happen."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import ClassVar, TypeAlias

_log = logging.getLogger("maestro_resilience")


class BreakerState(StrEnum):
    """What a circuit breaker does with calls."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"
    FORCED_OPEN = "forced-open"
    DISABLED = "disabled"
    METRICS_ONLY = "metrics-only"


class GiveUp(StrEnum):
    """Why no further attempt is made."""

    ATTEMPTS = "attempts"
    TOTAL_TIME = "total-time"
    RETRY_AFTER = "retry-after"
    DEADLINE = "deadline"
    BUDGET = "budget"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a policy did; `at_s` is the time of the policy's clock."""

    type: ClassVar[str] = "resilience.event"
    policy: str
    at_s: float


@dataclass(frozen=True, slots=True)
class RetryScheduled(Event):
    """Attempt `attempt` failed and the next one starts after `delay_s`; `error` is None when a result was rejected."""

    type: ClassVar[str] = "resilience.retry_scheduled"
    attempt: int
    delay_s: float
    error: Exception | None


@dataclass(frozen=True, slots=True)
class RetryRecovered(Event):
    """Attempt `attempt` succeeded after earlier ones failed."""

    type: ClassVar[str] = "resilience.retry_recovered"
    attempt: int


@dataclass(frozen=True, slots=True)
class RetryGaveUp(Event):
    """Attempt `attempt` failed and was the last; `error` is None when a result was rejected."""

    type: ClassVar[str] = "resilience.retry_gave_up"
    attempt: int
    reason: GiveUp
    error: Exception | None


@dataclass(frozen=True, slots=True)
class CallTimedOut(Event):
    """The limit passed: the call was cancelled (async), or came back late and its result was kept (sync)."""

    type: ClassVar[str] = "resilience.call_timed_out"
    limit_s: float
    cancelled: bool


@dataclass(frozen=True, slots=True)
class BreakerStateChanged(Event):
    """A circuit breaker moved from one state to another."""

    type: ClassVar[str] = "resilience.breaker_state_changed"
    before: BreakerState
    after: BreakerState


@dataclass(frozen=True, slots=True)
class CallShed(Event):
    """A call was refused before it began; `error` is what the caller got."""

    type: ClassVar[str] = "resilience.call_shed"
    error: Exception


@dataclass(frozen=True, slots=True)
class LimitChanged(Event):
    """An adaptive bulkhead moved its limit."""

    type: ClassVar[str] = "resilience.limit_changed"
    before: int
    after: int


@dataclass(frozen=True, slots=True)
class FallbackUsed(Event):
    """The fallback answered in place of `error`."""

    type: ClassVar[str] = "resilience.fallback_used"
    error: Exception


@dataclass(frozen=True, slots=True)
class HedgeStarted(Event):
    """An extra attempt began; the first call is attempt 1, so `attempt` is 2 or more."""

    type: ClassVar[str] = "resilience.hedge_started"
    attempt: int


@dataclass(frozen=True, slots=True)
class HedgeFailed(Event):
    """One of the racing attempts failed while others may still win."""

    type: ClassVar[str] = "resilience.hedge_failed"
    attempt: int
    error: Exception


@dataclass(frozen=True, slots=True)
class HedgeWon(Event):
    """The first success of a race that had more than one attempt."""

    type: ClassVar[str] = "resilience.hedge_won"
    attempt: int
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class ChaosInjected(Event):
    """Chaos struck; `what` names the parts: "latency", "fault", "outcome"."""

    type: ClassVar[str] = "resilience.chaos_injected"
    what: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PipelineReplaced(Event):
    """New calls of the pipeline `policy` use its new definition."""

    type: ClassVar[str] = "resilience.pipeline_replaced"


Listener: TypeAlias = Callable[[Event], object]


def notify(listeners: Iterable[Listener], event: Event) -> None:
    """Give the event to each listener; one that raises is logged and never breaks the call."""
    for listener in listeners:
        try:
            listener(event)
        except Exception:
            _log.exception("resilience.listener_failed event=%s policy=%s", event.type, event.policy)


def log_event(event: Event) -> None:
    """A ready listener: one INFO record per event, with the fields as `extra` and errors by type only."""
    values = {field.name: getattr(event, field.name) for field in fields(event)}
    shown = {key: type(value).__name__ if isinstance(value, Exception) else value for key, value in values.items()}
    _log.info("%s %s", event.type, " ".join(f"{k}={v}" for k, v in shown.items()), extra={"resilience": shown})
