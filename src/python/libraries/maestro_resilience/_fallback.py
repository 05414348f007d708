"""Fallback: an answer of second choice for failures named by the caller."""

from collections.abc import Awaitable, Callable, Iterable
from inspect import isawaitable
from typing import Any, cast

from maestro_resilience._checks import MISSING, Checks
from maestro_resilience._clock import SYSTEM_CLOCK, Clock
from maestro_resilience._conditions import Condition, compile_condition
from maestro_resilience._errors import ResultRejected
from maestro_resilience._events import FallbackUsed, Listener
from maestro_resilience._policy import P, Policy, T, sync_result


class Fallback(Policy):
    """Answers with `value` or `use(error)` when the call raises what `on` names, or returns what `on_result` holds for.

    Exactly one of `value` and `use` is given. Under `acall`, `use` may be async. For a rejected result the error is a
    ResultRejected that holds it. What `use` itself raises reaches the caller.
    """

    kind = "fallback"

    def __init__(
        self,
        on: Condition,
        *,
        value: object = MISSING,
        use: Callable[[Exception], Any] | None = None,
        on_result: Callable[[Any], bool] | None = None,
        name: str | None = None,
        clock: Clock = SYSTEM_CLOCK,
        listeners: Iterable[Listener] = (),
    ) -> None:
        checks = Checks(self.kind)
        self._on = compile_condition(checks, "on", on)
        self._on_result = checks.function("on_result", on_result)
        self._use = checks.function("use", use)
        if (value is MISSING) == (use is None):
            checks.fail("value", "given, or else `use`, and not both", value if use is None else use)
        checks.done()
        super().__init__(name=name, clock=clock, listeners=listeners)
        self._value = value

    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            result = fn(*args, **kwargs)
        except Exception as error:
            if not self._on(error):
                raise
            return cast(T, sync_result(self._answer(error)))
        rejected = self._rejected(sync_result(result))
        return result if rejected is None else cast(T, sync_result(self._answer(rejected)))

    async def acall(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            result = await fn(*args, **kwargs)
        except Exception as error:
            if not self._on(error):
                raise
            return cast(T, await _settled(self._answer(error)))
        rejected = self._rejected(result)
        return result if rejected is None else cast(T, await _settled(self._answer(rejected)))

    def _rejected(self, result: object) -> ResultRejected | None:
        if self._on_result is None or not self._on_result(result):
            return None
        return ResultRejected(f"{self.name}: the result was rejected", result=result)

    def _answer(self, error: Exception) -> object:
        if self.listeners:
            self.emit(FallbackUsed(self.name, self.clock.now_s(), error))
        return self._value if self._use is None else self._use(error)


async def _settled(answer: object) -> object:
    return await answer if isawaitable(answer) else answer
