"""Decorated functions: a key from the arguments, and the call through the cache."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from types import MethodType
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeAlias, TypeVar

from maestro_cache._errors import InvalidKey
from maestro_cache._key import Key
from maestro_cache._policy import Policy

if TYPE_CHECKING:
    from maestro_cache._async_cache import AsyncCache
    from maestro_cache._cache import Cache

P = ParamSpec("P")
V = TypeVar("V")

KeyOf: TypeAlias = Callable[..., "Key[Any]"]
TagsOf: TypeAlias = tuple[str, ...] | Callable[..., tuple[str, ...]]


def key_maker(function: Callable[..., Any], key: KeyOf | None) -> KeyOf:
    """`key`, or one from the signature.

    The key from the signature is the function's module and qualified name, and every argument by name, defaults
    filled in: f(1), f(x=1) and f() with x=1 as default are one key, f(1) and f("1") are two. Arguments have to be
    parts of keys; for others, `self` among them, give `key`.
    """
    if key is not None:
        return key
    signature = inspect.signature(function)
    gathered = next((one.name for one in signature.parameters.values() if one.kind is one.VAR_KEYWORD), None)
    name = f"{function.__module__}.{getattr(function, '__qualname__', repr(function))}"

    def from_signature(*args: Any, **kwargs: Any) -> Key[Any]:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        # What `**keywords` gathered is put into order; another dict is no part of a key.
        parts = tuple(
            (argument, tuple(sorted(value.items())) if argument == gathered else value)
            for argument, value in bound.arguments.items()
        )
        try:
            return Key(name, *parts)
        except InvalidKey as error:
            raise InvalidKey(f"an argument of {name} cannot be in a key; give key=…: {error}") from error

    return from_signature


def _tags(tags: TagsOf, *args: Any, **kwargs: Any) -> tuple[str, ...]:
    return tags(*args, **kwargs) if callable(tags) else tags


class CachedFunction(Generic[P, V]):
    """A function, or a method, whose calls go through a cache; `function` is the bare one."""

    __name__: str

    def __init__(self, cache: Cache, function: Callable[P, V], key: KeyOf, policy: Policy | None, tags: TagsOf) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.key = key
        self._cache = cache
        self._policy = policy
        self._tags = tags

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> V:
        key: Key[V] = self.key(*args, **kwargs)
        return self._cache.get_or_compute(
            key,
            lambda: self.function(*args, **kwargs),
            policy=self._policy,
            tags=_tags(self._tags, *args, **kwargs),
        )

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """Bind like a function, so that methods can be decorated."""
        return self if instance is None else MethodType(self, instance)

    def forget(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Delete the value of these arguments; False when the store has not confirmed it yet."""
        return self._cache.delete(self.key(*args, **kwargs))


class AsyncCachedFunction(Generic[P, V]):
    """A coroutine function, or such a method, whose calls go through a cache; `function` is the bare one."""

    __name__: str

    def __init__(
        self,
        cache: AsyncCache,
        function: Callable[P, Awaitable[V]],
        key: KeyOf,
        policy: Policy | None,
        tags: TagsOf,
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.key = key
        self._cache = cache
        self._policy = policy
        self._tags = tags

    async def __call__(self, *args: P.args, **kwargs: P.kwargs) -> V:
        key: Key[V] = self.key(*args, **kwargs)
        return await self._cache.get_or_compute(
            key,
            lambda: self.function(*args, **kwargs),
            policy=self._policy,
            tags=_tags(self._tags, *args, **kwargs),
        )

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        """Bind like a function, so that methods can be decorated."""
        return self if instance is None else MethodType(self, instance)

    async def forget(self, *args: P.args, **kwargs: P.kwargs) -> bool:
        """Delete the value of these arguments; False when the store has not confirmed it yet."""
        return await self._cache.delete(self.key(*args, **kwargs))
