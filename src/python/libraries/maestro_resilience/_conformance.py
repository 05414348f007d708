"""What every policy must keep, as checks that take a way to make one."""

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any, TypeAlias

from maestro_resilience._deadline import remaining_s
from maestro_resilience._errors import WrongCall
from maestro_resilience._manual_clock import ManualClock
from maestro_resilience._pipeline import Pipeline
from maestro_resilience._policy import Policy

MakePolicy: TypeAlias = Callable[[ManualClock], Policy]
"""Makes a fresh policy on that clock, which lets 8 calls at once pass and does not act on UnnamedError."""

_BOUND_S = 30.0


class UnnamedError(Exception):
    """An error that the policy under test does not name."""


class _Interrupt(BaseException):
    """Stands for KeyboardInterrupt and its like."""


def _echo(*args: object, **kwargs: object) -> object:
    return args, kwargs


async def _aecho(*args: object, **kwargs: object) -> object:
    return args, kwargs


def _raises(error: BaseException) -> object:
    raise error


async def _araises(error: BaseException) -> object:
    raise error


def _require(holds: bool, promise: str) -> None:
    if not holds:
        raise AssertionError(promise)


def _caught(call: Callable[..., object], *args: object) -> BaseException | None:
    try:
        call(*args)
    except BaseException as error:
        return error
    return None


def _run(work: Awaitable[object]) -> object:
    async def main() -> object:
        result = await asyncio.wait_for(work, _BOUND_S)
        left = asyncio.all_tasks() - {asyncio.current_task()}
        _require(not left, f"no task is left behind, but {left} is")
        return result

    return asyncio.run(main())


def results_and_arguments_pass_through(make: MakePolicy) -> None:
    """`call` and `acall` hand over arguments and result unchanged, keywords named like anything included."""
    policy = make(ManualClock())
    keywords: dict[str, object] = {"fn": 1, "self": 2, "on": 3}
    if not policy.async_only:
        _require(policy.call(_echo, 1, **keywords) == ((1,), keywords), "call returns what the function returns")
    _require(_run(policy.acall(_aecho, 1, **keywords)) == ((1,), keywords), "acall returns what the function returns")


def errors_pass_through(make: MakePolicy) -> None:
    """An exception that the policy does not name reaches the caller as the very same object."""
    policy, error = make(ManualClock()), UnnamedError("unchanged")
    if not policy.async_only:
        _require(_caught(policy.call, _raises, error) is error, "call raises the function's own error")
    _require(_caught(_run, policy.acall(_araises, error)) is error, "acall raises the function's own error")


def interrupts_pass_through(make: MakePolicy) -> None:
    """What is no Exception passes at once, and leaves the policy as usable as before."""
    policy = make(ManualClock())
    if policy.async_only:
        return
    for _ in range(20):
        interrupt = _Interrupt()
        _require(_caught(policy.call, _raises, interrupt) is interrupt, "an interrupt passes")
    _require(policy.call(_echo) == ((), {}), "the policy works after interrupts")


def cancellation_passes_through(make: MakePolicy) -> None:
    """A cancelled call ends as cancelled, leaves no task, and gives back what it held."""
    policy = make(ManualClock())

    async def scenario() -> None:
        for _ in range(20):
            started = asyncio.Event()

            async def hang(begun: asyncio.Event = started) -> None:
                begun.set()
                await asyncio.Event().wait()

            task = asyncio.ensure_future(policy.acall(hang))
            await started.wait()
            task.cancel()
            await asyncio.wait([task])
            _require(task.cancelled(), "a cancelled call is cancelled")
        _require(await policy.acall(_aecho) == ((), {}), "the policy works after cancellations")

    _run(scenario())


def decorated_functions_keep_their_kind(make: MakePolicy) -> None:
    """A decorated function keeps name, docstring and kind, and works as a method."""
    policy = make(ManualClock())

    class Service:
        @policy
        async def afetch(self, key: str) -> str:
            """Fetches."""
            return f"a{key}"

    _require(inspect.iscoroutinefunction(Service.afetch), "a coroutine function stays one")
    _require(Service.afetch.__name__ == "afetch" and Service.afetch.__doc__ == "Fetches.", "name and docstring stay")
    _require(_run(Service().afetch("x")) == "ax", "a decorated async method works")
    if policy.async_only:
        _require(isinstance(_caught(policy, _echo), WrongCall), "an async-only policy refuses sync functions")
        return
    guarded: Any = policy(_echo)
    _require(guarded.__name__ == "_echo" and guarded(1, a=2) == ((1,), {"a": 2}), "a decorated function works")


def streams_are_governed_or_refused(make: MakePolicy) -> None:
    """A generator function is either decorated so that items, `send` and `close` work, or refused when decorated."""
    policy = make(ManualClock())
    closed: list[str] = []

    def numbers(count: int) -> Iterator[object]:
        try:
            for number in range(count):
                sent = yield number
                if sent is not None:
                    yield sent
        finally:
            closed.append("sync")

    async def anumbers(count: int) -> AsyncIterator[int]:
        try:
            for number in range(count):
                yield number
        finally:
            closed.append("async")

    async def collect(items: AsyncIterator[int]) -> list[int]:
        return [item async for item in items]

    if not policy.opens_streams:
        for fn in (numbers, anumbers):
            _require(isinstance(_caught(policy, fn), WrongCall), "generators are refused with WrongCall")
        return
    guarded: Any = policy(numbers)
    _require(list(guarded(3)) == [0, 1, 2] and list(guarded(0)) == [], "a decorated generator yields its items")
    items = guarded(3)
    _require(next(items) == 0 and items.send("back") == "back", "a decorated generator takes what is sent")
    before = len(closed)
    items.close()
    _require(len(closed) == before + 1, "closing the decorated generator closes the inner one")
    aguarded = policy(anumbers)
    _require(_run(collect(aguarded(3))) == [0, 1, 2], "a decorated async generator yields its items")
    _require(_run(collect(aguarded(0))) == [], "an empty async generator stays empty")


def async_functions_are_refused_by_call(make: MakePolicy) -> None:
    """`call` of an async function, which it could not guard, raises WrongCall."""
    policy = make(ManualClock())
    try:
        result: Any = policy.call(_aecho)
    except WrongCall:
        return
    result.close()
    raise AssertionError("call refuses async functions")


def the_deadline_is_restored(make: MakePolicy) -> None:
    """After a call, failed or not, the ambient deadline is what it was."""
    policy = make(ManualClock())

    async def scenario() -> float | None:
        await policy.acall(_aecho)
        await asyncio.gather(policy.acall(_araises, UnnamedError()), return_exceptions=True)
        return remaining_s()

    _require(_run(scenario()) is None, "acall leaves no deadline behind")
    if not policy.async_only:
        policy.call(_echo)
        _caught(policy.call, _raises, UnnamedError())
        _require(remaining_s() is None, "call leaves no deadline behind")


def many_threads_may_share_it(make: MakePolicy) -> None:
    """Eight threads at once each get their own results."""
    policy = make(ManualClock())
    if policy.async_only:
        return
    wrong: list[object] = []
    barrier = threading.Barrier(8)

    def work(thread: int) -> None:
        barrier.wait(_BOUND_S)
        for call in range(25):
            try:
                if policy.call(_echo, thread, call) != ((thread, call), {}):
                    wrong.append((thread, call))
            except BaseException as error:
                wrong.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(_BOUND_S)
    _require(not any(thread.is_alive() for thread in threads), "threads end")
    _require(not wrong, f"every call gives its own result, but {wrong[:3]}")


def it_nests_in_pipelines(make: MakePolicy) -> None:
    """Inside a pipeline, and beside itself, it behaves the same."""
    clock = ManualClock()
    pipeline = Pipeline(Pipeline(make(clock)), make(clock))
    _require(_run(pipeline.acall(_aecho, 1, key=2)) == ((1,), {"key": 2}), "acall works through a pipeline")
    if not pipeline.async_only:
        _require(pipeline.call(_echo, 1, key=2) == ((1,), {"key": 2}), "call works through a pipeline")


POLICY_CHECKS: tuple[Callable[[MakePolicy], None], ...] = (
    results_and_arguments_pass_through,
    errors_pass_through,
    interrupts_pass_through,
    cancellation_passes_through,
    decorated_functions_keep_their_kind,
    streams_are_governed_or_refused,
    async_functions_are_refused_by_call,
    the_deadline_is_restored,
    many_threads_may_share_it,
    it_nests_in_pipelines,
)
