"""Every policy, alone and composed, keeps what the conformance suite asks of any policy."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from maestro_resilience import (
    AdaptiveBulkhead,
    Bulkhead,
    Chaos,
    CircuitBreaker,
    Fallback,
    Hedge,
    Pipeline,
    Pipelines,
    Policy,
    RateLimit,
    Retry,
    RetryBudget,
    Timeout,
)
from maestro_resilience._policy import P, T
from maestro_resilience.testing import POLICY_CHECKS, MakePolicy, ManualClock


class Transparent(Policy):
    """A policy as a user might write one."""

    kind = "transparent"

    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return Timeout(1.0).call(fn, *args, **kwargs)

    async def acall(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await fn(*args, **kwargs)


def _everything(clock: ManualClock) -> Policy:
    return Pipeline(
        Fallback(on=LookupError, value=None, clock=clock),
        RateLimit(1e6, burst=1000, max_wait_s=1.0, clock=clock),
        Timeout(30.0, clock=clock),
        Retry(on=ConnectionError, budget=RetryBudget(), clock=clock),
        CircuitBreaker(on=ConnectionError, clock=clock),
        Bulkhead(8, clock=clock),
        Chaos(0.5, fault=ConnectionError, clock=clock),
        clock=clock,
    )


MAKERS: dict[str, MakePolicy] = {
    "adaptive_bulkhead": lambda clock: AdaptiveBulkhead(initial=8, clock=clock),
    "bulkhead": lambda clock: Bulkhead(8, clock=clock),
    "bulkhead with a queue": lambda clock: Bulkhead(2, max_waiting=8, max_wait_s=None, clock=clock),
    "chaos": lambda clock: Chaos(1.0, fault=ConnectionError, clock=clock),
    "chaos of latency": lambda clock: Chaos(1.0, latency_s=0.5, enabled=True, clock=clock),
    "circuit_breaker": lambda clock: CircuitBreaker(clock=clock, minimum_calls=50),
    "circuit_breaker on results": lambda clock: CircuitBreaker(
        on=ConnectionError, on_result=lambda r: r == "bad", clock=clock
    ),
    "fallback": lambda clock: Fallback(on=LookupError, value=None, clock=clock),
    "hedge": lambda clock: Hedge(0.5, on=ConnectionError, clock=clock),
    "pipeline of none": lambda clock: Pipeline(clock=clock),
    "pipeline of all": _everything,
    "pipeline with a hedge": lambda clock: Pipeline(Timeout(5.0, clock=clock), Hedge(0.5, on=OSError, clock=clock)),
    "named pipeline": lambda clock: Pipelines(clock=clock).define("all", _everything(clock)),
    "named hedge": lambda clock: Pipelines(clock=clock).define("hedge", Hedge(0.5, on=ConnectionError, clock=clock)),
    "rate_limit": lambda clock: RateLimit(1e6, burst=1000, max_wait_s=1.0, clock=clock),
    "retry": lambda clock: Retry(on=ConnectionError, clock=clock),
    "retry on results": lambda clock: Retry(on=ConnectionError, on_result=lambda r: r == "bad", clock=clock),
    "timeout": lambda clock: Timeout(5.0, clock=clock),
    "user's own": lambda clock: Transparent(clock=clock),
}


@pytest.mark.parametrize("check", POLICY_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_policy_conforms(make: MakePolicy, check: Callable[[MakePolicy], None]) -> None:
    """Each policy passes each check."""
    check(make)


class Careless(Policy):
    """A policy that breaks its promises."""

    kind = "careless"

    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return fn(*args, **kwargs)
        except BaseException as error:
            raise RuntimeError("lost") from error

    async def acall(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        self.forgotten = asyncio.ensure_future(asyncio.Event().wait())
        return await fn(*args, **kwargs)


def test_the_suite_finds_a_careless_policy() -> None:
    """A policy that replaces errors and leaves tasks behind fails the checks that promise the contrary."""
    failed = set()
    for check in POLICY_CHECKS:
        try:
            check(lambda clock: Careless(clock=clock))
        except (AssertionError, RuntimeError):
            failed.add(check.__name__)
    assert failed >= {
        "results_and_arguments_pass_through",
        "errors_pass_through",
        "interrupts_pass_through",
        "cancellation_passes_through",
        "async_functions_are_refused_by_call",
    }
