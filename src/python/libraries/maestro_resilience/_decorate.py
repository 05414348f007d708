"""Decorators: the four kinds of Python function, each wrapped in its own kind."""

from __future__ import annotations

import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from functools import wraps
from typing import TYPE_CHECKING, Any

from maestro_resilience._errors import WrongCall

if TYPE_CHECKING:
    from maestro_resilience._policy import Policy


def decorate(policy: Policy, fn: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function so that each call of it runs under the policy."""
    if not callable(fn):
        raise WrongCall(f"{policy.name} decorates a function, not {type(fn).__name__}")
    if inspect.isgeneratorfunction(fn):
        _require_streams(policy, fn)
        return _stream(policy, fn)
    if inspect.isasyncgenfunction(fn):
        _require_streams(policy, fn)
        return _async_stream(policy, fn)
    if inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(type(fn).__call__):
        return _coroutine(policy, fn)
    return _function(policy, fn)


def _require_streams(policy: Policy, fn: Callable[..., Any]) -> None:
    """Asked when decorating, and at every start too, because a named pipeline may have been replaced."""
    if not policy.opens_streams:
        raise WrongCall(
            f"{policy.name} cannot decorate the generator function {getattr(fn, '__name__', fn)!r}: "
            "guard the calls inside it instead"
        )


def _function(policy: Policy, fn: Callable[..., Any]) -> Callable[..., Any]:
    if policy.async_only:
        raise WrongCall(f"{policy.name} works on async functions only")
    call = policy.call

    @wraps(fn)
    def guarded(*args: Any, **kwargs: Any) -> Any:
        return call(fn, *args, **kwargs)

    return guarded


def _coroutine(policy: Policy, fn: Callable[..., Any]) -> Callable[..., Any]:
    acall = policy.acall

    @wraps(fn)
    async def guarded(*args: Any, **kwargs: Any) -> Any:
        return await acall(fn, *args, **kwargs)

    return guarded


def _open(fn: Callable[..., Generator[Any, Any, Any]], *args: Any, **kwargs: Any) -> tuple[Any, Any, bool]:
    """Start a generator: itself, its first item (or its return value), and whether it goes on."""
    items = fn(*args, **kwargs)
    try:
        return items, next(items), True
    except StopIteration as stop:
        return items, stop.value, False


def _stream(policy: Policy, fn: Callable[..., Generator[Any, Any, Any]]) -> Callable[..., Any]:
    @wraps(fn)
    def guarded(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        _require_streams(policy, fn)
        items, item, more = policy.call(_open, fn, *args, **kwargs)
        if not more:
            return item
        try:
            while True:
                try:
                    sent = yield item
                except GeneratorExit:
                    raise
                except BaseException as error:
                    item = items.throw(error)
                else:
                    item = items.send(sent)
        except StopIteration as stop:
            return stop.value
        finally:
            items.close()

    return guarded


async def _aopen(fn: Callable[..., AsyncGenerator[Any, Any]], *args: Any, **kwargs: Any) -> tuple[Any, Any, bool]:
    items = fn(*args, **kwargs)
    try:
        return items, await anext(items), True
    except StopAsyncIteration:
        return items, None, False


def _async_stream(policy: Policy, fn: Callable[..., AsyncGenerator[Any, Any]]) -> Callable[..., Any]:
    @wraps(fn)
    async def guarded(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        _require_streams(policy, fn)
        items, item, more = await policy.acall(_aopen, fn, *args, **kwargs)
        if not more:
            return
        try:
            while True:
                try:
                    sent = yield item
                except GeneratorExit:
                    raise
                except BaseException as error:
                    item = await items.athrow(error)
                else:
                    item = await items.asend(sent)
        except StopAsyncIteration:
            return
        finally:
            await items.aclose()

    return guarded
