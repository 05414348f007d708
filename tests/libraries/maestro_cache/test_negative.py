"""Answers of "no": kept for their own time when the policy names them, and never otherwise."""

import traceback
from collections.abc import Callable

import pytest

from maestro_cache import Cache, Key, MemoryStore, NotStored, Policy
from maestro_cache.testing import ManualClock, Recorder

KEY = Key[int | None]("k")


class NotFound(Exception):
    """No such thing."""


class Special(NotFound):
    """A subclass that no policy names."""


class Awkward(Exception):
    """Its arguments do not make it again."""

    def __init__(self, first: int, second: int) -> None:
        super().__init__(f"{first} {second}")


class Setting:
    """A cache, its clock, and a function that counts."""

    def __init__(self, policy: Policy) -> None:
        self.clock = ManualClock()
        self.recorder = Recorder()
        self.cache = Cache(policy, MemoryStore(clock=self.clock), listener=self.recorder)
        self.calls = 0

    def ask(self, answer: int | Exception | None) -> int | None:
        def function() -> int | None:
            self.calls += 1
            if isinstance(answer, Exception):
                raise answer
            return answer

        return self.cache.get_or_compute(KEY, function)


def test_nothing_is_kept_for_its_own_time_and_not_served_stale() -> None:
    setting = Setting(Policy(ttl_s=100, stale_s=100, jitter=0, negative_ttl_s=5))
    assert setting.ask(None) is None
    setting.clock.advance(4.9)
    assert setting.ask(1) is None
    setting.clock.advance(0.1)
    assert setting.ask(1) == 1
    assert setting.calls == 2


def test_without_a_negative_ttl_nothing_is_a_value_like_others() -> None:
    setting = Setting(Policy(ttl_s=100, jitter=0))
    setting.ask(None)
    setting.clock.advance(99)
    assert setting.ask(1) is None


def test_a_named_error_is_raised_again_without_asking() -> None:
    """The same class and arguments, in a new object whose traceback does not hold on to the first call."""
    setting = Setting(Policy(ttl_s=100, jitter=0, negative_ttl_s=5, negative_errors=(NotFound,)))
    first = NotFound("user", 7)
    with pytest.raises(NotFound) as raised:
        setting.ask(first)
    assert raised.value is first
    with pytest.raises(NotFound) as again:
        setting.ask(1)
    assert again.value.args == ("user", 7)
    assert again.value is not first
    assert "in function" not in "".join(traceback.format_exception(again.value))
    assert setting.calls == 1
    assert setting.cache.stats().negative_hits == 1
    assert setting.cache.get(KEY, -1) == -1
    setting.clock.advance(5)
    assert setting.ask(1) == 1


@pytest.mark.parametrize("error", [OSError("x"), Special("x"), KeyError("x")], ids=lambda error: type(error).__name__)
def test_no_other_error_is_ever_kept_not_even_of_a_subclass(error: Exception) -> None:
    setting = Setting(Policy(ttl_s=100, negative_ttl_s=5, negative_errors=(NotFound,)))
    with pytest.raises(type(error)):
        setting.ask(error)
    assert setting.ask(1) == 1
    assert setting.calls == 2


def test_an_error_that_its_arguments_do_not_make_again_is_told_and_not_kept() -> None:
    setting = Setting(Policy(ttl_s=100, negative_ttl_s=5, negative_errors=(Awkward,)))
    for _ in range(2):
        with pytest.raises(Awkward, match="1 2"):
            setting.ask(Awkward(1, 2))
    assert setting.calls == 2
    assert [event.error.code for event in setting.recorder.of(NotStored)] == ["cache.not-storable"] * 2


def test_the_time_of_nothing_has_jitter_too() -> None:
    setting = Setting(Policy(ttl_s=100, jitter=0.5, negative_ttl_s=10))
    ends: set[bool] = set()
    for _ in range(200):
        setting.cache.clear()
        setting.ask(None)
        setting.clock.advance(7.5)
        ends.add(setting.ask(1) == 1)
    assert ends == {True, False}


def test_a_refresh_that_finds_nothing_keeps_nothing() -> None:
    """A stale value is replaced by the kept error when its refresh gets one."""
    setting = Setting(Policy(ttl_s=10, stale_s=100, jitter=0, negative_ttl_s=50, negative_errors=(NotFound,)))

    def fail() -> int:
        raise NotFound("gone")

    function: Callable[[], int | None] = fail
    setting.ask(1)
    setting.clock.advance(11)
    assert setting.cache.get_or_compute(KEY, function) == 1
    setting.cache._threads.close()
    with pytest.raises(NotFound, match="gone"):
        setting.ask(2)
