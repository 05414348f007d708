"""Retry, timeout, circuit breaker, bulkhead, rate limit, fallback, hedging and chaos, alone or as pipelines."""

from maestro_resilience._adaptive import AdaptiveBulkhead
from maestro_resilience._backoff import Backoff
from maestro_resilience._breaker import BreakerMetrics, CircuitBreaker
from maestro_resilience._budget import RetryBudget
from maestro_resilience._bulkhead import Bulkhead
from maestro_resilience._chaos import Chaos
from maestro_resilience._clock import SYSTEM_CLOCK, Clock, SystemClock, Timer
from maestro_resilience._conditions import Condition, retryable
from maestro_resilience._deadline import DeadlineScope, check_deadline, deadline, remaining_s
from maestro_resilience._errors import (
    BulkheadFull,
    CallRefused,
    CircuitOpen,
    DeadlinePassed,
    InjectedFault,
    InvalidPolicy,
    PipelineExists,
    Problem,
    RateLimited,
    ResilienceError,
    ResultRejected,
    TimedOut,
    UnknownPipeline,
    WrongCall,
)
from maestro_resilience._events import (
    BreakerState,
    BreakerStateChanged,
    CallShed,
    CallTimedOut,
    ChaosInjected,
    Event,
    FallbackUsed,
    GiveUp,
    HedgeFailed,
    HedgeStarted,
    HedgeWon,
    LimitChanged,
    Listener,
    PipelineReplaced,
    RetryGaveUp,
    RetryRecovered,
    RetryScheduled,
    log_event,
)
from maestro_resilience._fallback import Fallback
from maestro_resilience._hedge import Hedge
from maestro_resilience._per_key import PerKey
from maestro_resilience._pipeline import Pipeline
from maestro_resilience._pipelines import NamedPipeline, Pipelines
from maestro_resilience._policy import Policy
from maestro_resilience._rate_limit import RateLimit
from maestro_resilience._retry import Attempt, Attempts, Retry
from maestro_resilience._spec import build_pipeline
from maestro_resilience._timeout import Timeout

__all__ = [
    "SYSTEM_CLOCK",
    "AdaptiveBulkhead",
    "Attempt",
    "Attempts",
    "Backoff",
    "BreakerMetrics",
    "BreakerState",
    "BreakerStateChanged",
    "Bulkhead",
    "BulkheadFull",
    "CallRefused",
    "CallShed",
    "CallTimedOut",
    "Chaos",
    "ChaosInjected",
    "CircuitBreaker",
    "CircuitOpen",
    "Clock",
    "Condition",
    "DeadlinePassed",
    "DeadlineScope",
    "Event",
    "Fallback",
    "FallbackUsed",
    "GiveUp",
    "Hedge",
    "HedgeFailed",
    "HedgeStarted",
    "HedgeWon",
    "InjectedFault",
    "InvalidPolicy",
    "LimitChanged",
    "Listener",
    "NamedPipeline",
    "PerKey",
    "Pipeline",
    "PipelineExists",
    "PipelineReplaced",
    "Pipelines",
    "Policy",
    "Problem",
    "RateLimit",
    "RateLimited",
    "ResilienceError",
    "ResultRejected",
    "Retry",
    "RetryBudget",
    "RetryGaveUp",
    "RetryRecovered",
    "RetryScheduled",
    "SystemClock",
    "TimedOut",
    "Timeout",
    "Timer",
    "UnknownPipeline",
    "WrongCall",
    "build_pipeline",
    "check_deadline",
    "deadline",
    "log_event",
    "remaining_s",
    "retryable",
]
