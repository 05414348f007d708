"""Pipeline: several policies as one, in the order in which they are written."""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, cast

from maestro_resilience._checks import Checks
from maestro_resilience._clock import SYSTEM_CLOCK, Clock
from maestro_resilience._events import Listener
from maestro_resilience._policy import P, Policy, T, sync_result


class Pipeline(Policy):
    """Policies around a call, outermost first: `Pipeline(retry, timeout)` gives each attempt its own limit.

    Any Policy may be part of it, another pipeline too. Without parts it just calls.
    """

    kind = "pipeline"

    def __init__(
        self,
        *policies: Policy,
        name: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
        listeners: Iterable[Listener] = (),
    ) -> None:
        checks = Checks(self.kind)
        for index, policy in enumerate(policies):
            if not isinstance(policy, Policy):
                checks.fail(str(index), "a Policy", policy)
        checks.done()
        super().__init__(name=name, clock=clock, listeners=listeners)
        self.policies = policies
        # A policy's call takes a function and its arguments, and so does the next policy's call: they nest as they are.
        calls: list[Callable[..., Any]] = [policy.call for policy in policies] or [_direct]
        acalls: list[Callable[..., Awaitable[Any]]] = [policy.acall for policy in policies] or [_adirect]
        self._call, *self._calls = calls
        self._acall, *self._acalls = acalls

    @property
    def async_only(self) -> bool:
        return any(policy.async_only for policy in self.policies)

    @property
    def opens_streams(self) -> bool:
        return all(policy.opens_streams for policy in self.policies)

    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return cast(T, self._call(*self._calls, fn, *args, **kwargs))

    async def acall(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        return cast(T, await self._acall(*self._acalls, fn, *args, **kwargs))


def _direct(fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
    return sync_result(fn(*args, **kwargs))


async def _adirect(fn: Callable[..., Awaitable[Any]], /, *args: Any, **kwargs: Any) -> Any:
    return await fn(*args, **kwargs)
