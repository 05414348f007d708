"""Different parts never give the same key, in whatever type, length or character they differ."""

import enum
import uuid
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_cache import AsyncCache, Cache, InvalidKey, Key, MemoryStore, Policy


class Colour(enum.Enum):
    RED = "red"


class Size(enum.IntEnum):
    ONE = 1


class Word(enum.StrEnum):
    A = "a"


SIMPLE: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.sampled_from(["", "1", "true", "null", "a", "bc", "ab", "c", '"', "[", ",", "#", "{}", "1.0"]),
    st.binary(),
    st.uuids(),
    st.dates(),
    st.datetimes(timezones=st.sampled_from([None, UTC])),
    st.sampled_from([Colour.RED, Size.ONE, Word.A]),
)
PARTS = st.lists(st.recursive(SIMPLE, lambda inner: st.lists(inner, max_size=3).map(tuple)), min_size=1, max_size=4)


def exactly(part: Any) -> Any:
    """A part as something that equals only the same part of the same type."""
    if isinstance(part, tuple):
        return (tuple, *(exactly(inner) for inner in part))
    return type(part), repr(part)


@given(PARTS, PARTS)
def test_two_keys_are_equal_only_when_their_parts_are(left: list[Any], right: list[Any]) -> None:
    same = [exactly(part) for part in left] == [exactly(part) for part in right]
    assert (Key[int](*left) == Key[int](*right)) == same
    assert Key[int](*left) == Key[int](*left)
    assert hash(Key[int](*left)) == hash(Key[int](*left))


def test_the_known_pitfalls_are_all_different_keys() -> None:
    many: list[tuple[Any, ...]] = [
        ("a", "bc"),
        ("ab", "c"),
        ("abc",),
        ('a","bc',),
        (1,),
        ("1",),
        (True,),
        ("true",),
        (1.0,),
        (Size.ONE,),
        (None,),
        ("null",),
        ("None",),
        ("",),
        ((),),
        (("a", "bc"),),
        ("a", ("bc",)),
        (b"a",),
        ("a",),
        (Word.A,),
        ("61",),
        (uuid.UUID(int=1),),
        (str(uuid.UUID(int=1)),),
        (date(2026, 1, 1),),
        (datetime(2026, 1, 1, tzinfo=UTC),),
        (datetime(2026, 1, 1),),  # noqa: DTZ001 - a time without zone is another key
        ("2026-01-01",),
    ]
    assert len({Key[int](*parts).text for parts in many}) == len(many)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=0, max_size=2000))
def test_a_key_is_never_long(text: str) -> None:
    assert len(Key[int]("kind", text).text.encode()) <= 200


def test_long_keys_differ_in_their_last_character() -> None:
    assert Key[int]("x" * 5000 + "a") != Key[int]("x" * 5000 + "b")


@pytest.mark.parametrize(
    "part",
    [[1], {"a": 1}, {1}, object(), float("nan"), float("inf"), 1j, "\ud800", "\ud83d\ude00", (1, [2]), 10**5000],
    ids=lambda part: type(part).__name__,
)
def test_what_cannot_be_a_part_is_refused_with_advice(part: Any) -> None:
    """A pair of lone surrogates is refused because JSON would write it as the character that they stand for."""
    with pytest.raises(InvalidKey, match=r"part of type|surrogate"):
        Key[int]("kind", part)


def test_a_key_has_parts() -> None:
    with pytest.raises(InvalidKey, match="no parts"):
        Key[int]()


@pytest.mark.parametrize("namespace", ["", "A", "a b", "a:b", "-a", "é", "a" * 65, None, 3])
def test_a_namespace_is_a_plain_word(namespace: Any) -> None:
    with pytest.raises(InvalidKey, match="namespace"):
        Cache(Policy(ttl_s=1), namespace=namespace)
    with pytest.raises(InvalidKey, match="namespace"):
        AsyncCache(Policy(ttl_s=1), namespace=namespace)


@pytest.mark.parametrize("version", [-1, "1", True, 1.0])
def test_a_version_is_a_whole_number(version: Any) -> None:
    with pytest.raises(InvalidKey, match="version"):
        Cache(Policy(ttl_s=1), version=version)


def test_namespaces_and_versions_do_not_see_each_other() -> None:
    """Three caches on one store: none serves what another stored, and clearing one leaves the others."""
    store = MemoryStore()
    first = Cache(Policy(ttl_s=60), store, namespace="a")
    caches = [
        first,
        Cache(Policy(ttl_s=60), store, namespace="b"),
        Cache(Policy(ttl_s=60), store, namespace="a", version=2),
    ]
    key = Key[int]("k")
    for number, cache in enumerate(caches):
        assert cache.get(key) is None
        cache.set(key, number)
    first.clear()
    assert [cache.get(key) for cache in caches] == [None, 1, 2]


@pytest.mark.parametrize("tag", ["", 3, None, "\ud800"])
def test_a_tag_is_a_text(tag: Any) -> None:
    cache = Cache(Policy(ttl_s=60))
    with pytest.raises(InvalidKey, match="tag"):
        cache.invalidate_tags(tag)
    with pytest.raises(InvalidKey, match="tag"):
        cache.get_or_compute(Key[int]("k"), lambda: 1, tags=(tag,))


def test_a_plain_text_is_no_key() -> None:
    with pytest.raises(InvalidKey, match=r"Key\('user'\)"):
        Cache(Policy(ttl_s=60)).get("user")  # type: ignore[arg-type]  # wrong on purpose
