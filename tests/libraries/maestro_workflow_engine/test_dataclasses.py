"""The library's quick `dataclass` makes what the standard library's makes."""

import copy
import dataclasses
import inspect
import pickle
from typing import Any

import pytest

from maestro_workflow_engine import _dataclasses


def made_by(make: Any, *, frozen: bool, slots: bool) -> Any:
    """The same class, made by one of the two."""

    class Point:
        """Where something is."""

        x: int
        y: float = 0.5
        tags: list[str] = dataclasses.field(default_factory=list)
        hidden: int = dataclasses.field(default=0, repr=False, compare=False)

        def __post_init__(self) -> None:
            assert self.x >= 0

    return make(frozen=frozen, slots=slots)(Point)


BOTH = [(frozen, slots) for frozen in (True, False) for slots in (True, False)]


@dataclasses.dataclass(frozen=True)
class Pair:
    """The two classes that must not differ."""

    quick: Any
    usual: Any


@pytest.fixture(params=BOTH, ids=lambda each: f"frozen={each[0]},slots={each[1]}")
def pair(request: pytest.FixtureRequest) -> Pair:
    """Our class, and that of the standard library."""
    frozen, slots = request.param
    quick = made_by(_dataclasses.dataclass, frozen=frozen, slots=slots)
    return Pair(quick, made_by(dataclasses.dataclass, frozen=frozen, slots=slots))


def test_it_is_a_dataclass_with_the_same_fields(pair: Pair) -> None:
    """For `fields`, `replace`, `asdict` and patterns."""
    quick, usual = pair.quick(1), pair.usual(1)
    assert [each.name for each in dataclasses.fields(quick)] == [each.name for each in dataclasses.fields(usual)]
    assert dataclasses.asdict(dataclasses.replace(quick, y=2.0)) == dataclasses.asdict(
        dataclasses.replace(usual, y=2.0)
    )
    assert pair.quick.__match_args__ == pair.usual.__match_args__
    assert list(inspect.signature(pair.quick).parameters) == list(inspect.signature(pair.usual).parameters)
    assert hasattr(quick, "__dict__") == hasattr(usual, "__dict__")


def test_it_shows_compares_and_hashes_alike(pair: Pair) -> None:
    """Hidden fields count for neither; another class is never equal."""
    assert repr(pair.quick(1, tags=["a"], hidden=1)) == repr(pair.usual(1, tags=["a"], hidden=1))
    assert pair.quick(1, hidden=1) == pair.quick(1, hidden=2)
    assert pair.quick(1) != pair.quick(2)
    assert pair.quick(1) != pair.usual(1)
    for cls in (pair.quick, pair.usual):
        with pytest.raises(TypeError, match="unhashable"):
            hash(cls(1))


def test_defaults_are_new_for_each(pair: Pair) -> None:
    """A list of one is not the list of another."""
    assert pair.quick(1).tags is not pair.quick(1).tags
    with pytest.raises(TypeError, match="missing 1 required"):
        pair.quick()
    with pytest.raises(AssertionError):
        pair.quick(-1)


def test_a_frozen_one_refuses_changes(pair: Pair) -> None:
    """As the standard library's does, with the same error."""
    outcomes = []
    for cls in (pair.quick, pair.usual):
        point = cls(1)
        try:
            point.x = 2
            del point.tags
        except dataclasses.FrozenInstanceError as error:
            outcomes.append(str(error))
    assert outcomes in ([], ["cannot assign to field 'x'"] * 2)


def test_copies_are_equal_and_their_own(pair: Pair) -> None:
    """Shallow, deep and replaced."""
    point = pair.quick(1, tags=["a"], hidden=3)
    for twin in (copy.copy(point), copy.deepcopy(point), dataclasses.replace(point)):
        assert twin == point
        assert twin is not point
        assert twin.hidden == 3
    assert copy.copy(point).tags is point.tags
    assert copy.deepcopy(point).tags is not point.tags


@_dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    """At the top of a module, where pickle finds it."""

    a: int
    b: str = "b"


@_dataclasses.dataclass(slots=True)
class Loose:
    """One that may change, and has no `__post_init__`."""

    a: int
    b: list[int] = dataclasses.field(default_factory=list)


@_dataclasses.dataclass(slots=True)
class Looser(Loose):
    """One that adds a field."""

    c: int = 3


def test_pickle_and_subclasses() -> None:
    """A hash follows equality, a copy of a subclass is one of it."""
    assert pickle.loads(pickle.dumps(Frozen(1))) == Frozen(1)
    assert hash(Frozen(1)) == hash(Frozen(1, "b"))
    twin = copy.copy(Looser(1, [2], 4))
    assert type(twin) is Looser
    assert (twin.a, twin.b, twin.c) == (1, [2], 4)
    assert Looser(1) != Loose(1)
