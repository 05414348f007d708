"""Decorated functions: one key for one meaning of the arguments, and advice where there is none."""

from collections.abc import Iterator
from typing import Any

import pytest

from maestro_cache import AsyncCache, Cache, InvalidKey, Key, Policy

POLICY = Policy(ttl_s=60)


@pytest.fixture
def cache() -> Iterator[Cache]:
    with Cache(POLICY) as cache:
        yield cache


def test_the_same_arguments_are_one_key_however_they_are_written(cache: Cache) -> None:
    calls: list[tuple[int, int]] = []

    @cache.cached()
    def add(x: int, y: int = 2) -> int:
        """Adds."""
        calls.append((x, y))
        return x + y

    assert [add(1), add(1, 2), add(x=1), add(y=2, x=1)] == [3] * 4
    assert calls == [(1, 2)]
    assert add(2) == 4
    assert (add.__name__, add.__doc__) == ("add", "Adds.")
    assert add.function(1, 1) == 2


def test_arguments_of_other_types_and_places_are_other_keys(cache: Cache) -> None:
    @cache.cached()
    def shown(*args: Any, **kwargs: Any) -> str:
        return repr((args, kwargs))

    calls: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
        ((1,), {}),
        (("1",), {}),
        ((True,), {}),
        ((1.0,), {}),
        ((1, 2), {}),
        (((1, 2),), {}),
        ((), {"a": 1}),
        (((("a", 1),),), {}),
        ((), {"args": 1}),
        ((), {}),
    ]
    assert len({shown.key(*args, **kwargs) for args, kwargs in calls}) == len(calls)
    for args, kwargs in calls:
        assert shown(*args, **kwargs) == repr((args, kwargs))
    assert shown.key(a=1, b=2) == shown.key(b=2, a=1)


def test_functions_of_one_name_in_other_places_are_other_keys(cache: Cache) -> None:
    def one() -> Any:
        def same(x: int) -> int:
            return x

        return same

    def two() -> Any:
        def same(x: int) -> int:
            return -x

        return same

    first, second = cache.cached()(one()), cache.cached()(two())
    assert (first(1), second(1)) == (1, -1)


@pytest.mark.parametrize("argument", [[1], {"a": 1}, object(), float("nan")], ids=lambda value: type(value).__name__)
def test_an_argument_that_no_key_can_hold_is_refused_with_advice(cache: Cache, argument: Any) -> None:
    @cache.cached()
    def function(x: Any) -> int:
        return 1

    with pytest.raises(InvalidKey, match=r"function cannot be in a key; give key=…"):
        function(argument)


def test_a_method_needs_a_key_of_its_own(cache: Cache) -> None:
    class Shop:
        def __init__(self, name: str) -> None:
            self.name = name

        def price(self, article: str) -> str:
            return f"{article} at {self.name}"

    def key(shop: Shop, article: str) -> Key[str]:
        return Key("price", shop.name, article)

    with pytest.raises(InvalidKey, match="give key="):
        cache.cached()(Shop.price)(Shop("a"), "tea")

    class Cached(Shop):
        price = cache.cached(key=key)(Shop.price)

    first, second = Cached("a"), Cached("b")
    assert (first.price("tea"), second.price("tea")) == ("tea at a", "tea at b")
    first.name = "renamed"
    assert Cached("a").price("tea") == "tea at a"
    assert Cached.price.forget(Cached("a"), "tea")


def test_tags_and_policies_of_a_decorated_function(cache: Cache) -> None:
    calls = 0

    def tags_of(user_id: int) -> tuple[str, ...]:
        return ("users", f"user-{user_id}")

    @cache.cached(policy=Policy(ttl_s=5), tags=tags_of)
    def load(user_id: int) -> int:
        nonlocal calls
        calls += 1
        return user_id

    load(1), load(2)
    cache.invalidate_tags("user-1")
    load(1), load(2)
    assert calls == 3
    cache.invalidate_tags("users")
    load(1), load(2)
    assert calls == 5
    assert load.forget(1)
    load(1), load(2)
    assert calls == 6


async def test_coroutine_functions_too() -> None:
    calls = 0
    async with AsyncCache(POLICY) as cache:

        @cache.cached(tags=("users",))
        async def load(user_id: int) -> int:
            """Loads."""
            nonlocal calls
            calls += 1
            return user_id

        assert [await load(1), await load(user_id=1)] == [1, 1]
        assert calls == 1
        assert load.__doc__ == "Loads."
        await load.forget(1)
        assert await load(1) == 1
        await cache.invalidate_tags("users")
        assert await load(1) == 1
        assert calls == 3
