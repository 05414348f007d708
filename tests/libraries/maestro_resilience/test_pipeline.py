"""Pipelines: policies in the order in which they are written, by name, replaced while in use."""

from collections.abc import Awaitable, Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_resilience import (
    Bulkhead,
    CircuitBreaker,
    Fallback,
    InvalidPolicy,
    Pipeline,
    PipelineExists,
    PipelineReplaced,
    Pipelines,
    Policy,
    RateLimit,
    Retry,
    Timeout,
    UnknownPipeline,
    WrongCall,
)
from maestro_resilience._policy import P, T
from maestro_resilience.testing import ManualClock, Recorder


class Trace(Policy):
    """Writes down when it is entered and left."""

    def __init__(self, mark: str, log: list[str]) -> None:
        super().__init__(name=mark)
        self.log = log

    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        self.log.append(f"+{self.name}")
        try:
            return fn(*args, **kwargs)
        finally:
            self.log.append(f"-{self.name}")

    async def acall(self, fn: Callable[P, Awaitable[T]], /, *args: P.args, **kwargs: P.kwargs) -> T:
        self.log.append(f"+{self.name}")
        try:
            return await fn(*args, **kwargs)
        finally:
            self.log.append(f"-{self.name}")


nestings = st.recursive(st.sampled_from("abcdef"), lambda inner: st.lists(inner, max_size=4), max_leaves=12)


@given(nestings)
async def test_order_is_as_written(nesting: str | list[object]) -> None:
    """The first policy is the outermost; nesting pipelines changes nothing; sync, async and decorated agree."""
    log: list[str] = []

    def build(part: object) -> Policy:
        return Trace(part, log) if isinstance(part, str) else Pipeline(*(build(inner) for inner in part))  # type: ignore[attr-defined]  # a list otherwise

    def flat(part: object) -> list[str]:
        return [part] if isinstance(part, str) else [mark for inner in part for mark in flat(inner)]  # type: ignore[attr-defined]  # a list otherwise

    def work() -> str:
        log.append("work")
        return "done"

    async def awork() -> str:
        return work()

    pipeline, marks = build(nesting), flat(nesting)
    expected = [f"+{mark}" for mark in marks] + ["work"] + [f"-{mark}" for mark in reversed(marks)]
    assert pipeline.call(work) == "done"
    assert await pipeline.acall(awork) == "done"
    assert pipeline(work)() == "done"
    assert await pipeline(awork)() == "done"
    assert log == expected * 4


def test_order_decides_what_a_policy_sees() -> None:
    """A breaker inside a retry sees every attempt; outside, only the call as a whole."""
    clock, calls = ManualClock(), []

    def fail() -> None:
        calls.append(1)
        raise ConnectionError

    for outside in (True, False):
        breaker = CircuitBreaker(clock=clock)
        retry = Retry(on=OSError, max_attempts=3, clock=clock)
        pipeline = Pipeline(breaker, retry) if outside else Pipeline(retry, breaker)
        with pytest.raises(ConnectionError):
            pipeline.call(fail)
        assert breaker.metrics.calls == (1 if outside else 3)
    assert len(calls) == 6


def test_a_pipeline_of_stream_openers_decorates_generators() -> None:
    """Generators are decorated when every policy can open streams, and refused with the reason otherwise."""
    clock, failures = ManualClock(), [OSError()]

    def numbers() -> Iterator[int]:
        if failures:
            raise failures.pop()
        yield from (1, 2)

    opening = Pipeline(
        RateLimit(100.0, burst=9, clock=clock), Retry(on=OSError, clock=clock), Timeout(5.0, clock=clock)
    )
    assert list(opening(numbers)()) == [1, 2]
    for policy in (Bulkhead(1), Pipeline(opening, Bulkhead(1, name="db"), name="all"), Fallback(on=OSError, value=1)):
        with pytest.raises(WrongCall, match="cannot decorate the generator function 'numbers'"):
            policy(numbers)


def test_a_replaced_pipeline_that_opens_no_streams_refuses_them() -> None:
    """A decorated generator function is refused at its next start when its pipeline no longer suits it."""
    pipelines = Pipelines()
    handle = pipelines.define("main", Timeout(5.0))

    @handle
    def numbers() -> Iterator[int]:
        yield 1

    assert list(numbers()) == [1]
    pipelines.replace("main", Bulkhead(1))
    with pytest.raises(WrongCall, match="cannot decorate the generator function"):
        list(numbers())


def test_a_reload_tells_one_from_true() -> None:
    """A changed document is read anew even where Python calls the old and the new value equal."""
    pipelines = Pipelines()
    pipelines.load({"a": [{"timeout": {"limit_s": 1}}]})
    with pytest.raises(InvalidPolicy, match="not True"):
        pipelines.load({"a": [{"timeout": {"limit_s": True}}]})


def test_what_is_no_function_is_not_decorated() -> None:
    """A mistaken use as decorator is told at once."""
    with pytest.raises(WrongCall, match="decorates a function, not int"):
        Timeout(1.0)(3)  # type: ignore[type-var]  # the bad input under test


async def test_callable_objects_keep_their_kind() -> None:
    """An object with an async `__call__` is guarded as an async function."""

    class Fetch:
        async def __call__(self, key: str) -> str:
            return f"got {key}"

    guarded = Timeout(1.0)(Fetch().__call__)
    assert await guarded("a") == "got a"
    fetch = Fetch()
    fetch.__dict__["__name__"] = "fetch"
    assert await Timeout(1.0)(fetch)("b") == "got b"


def test_names_are_looked_up() -> None:
    """Pipelines are defined once, found by name, and an unknown name lists the known ones."""
    pipelines = Pipelines()
    defined = pipelines.define("payments", Timeout(1.0))
    assert pipelines.get("payments") is defined
    assert pipelines.get("payments").call(len, "abc") == 3
    pipelines.define("mail", Pipeline())
    assert pipelines.names() == ["mail", "payments"]
    with pytest.raises(PipelineExists, match="replace"):
        pipelines.define("payments", Timeout(2.0))
    with pytest.raises(UnknownPipeline, match="'paymnts'; defined: mail, payments") as caught:
        pipelines.get("paymnts")
    assert isinstance(caught.value, LookupError)
    with pytest.raises(UnknownPipeline):
        pipelines.replace("other", Timeout(1.0))
    with pytest.raises(UnknownPipeline, match="defined: none"):
        Pipelines().get("payments")


async def test_a_replaced_pipeline_reaches_all_who_use_it() -> None:
    """Decorated functions and kept handles use the new definition at their next call; calls under way end as begun."""
    log: list[str] = []
    recorder = Recorder()
    pipelines = Pipelines(listeners=[recorder])
    handle = pipelines.define("main", Trace("old", log))

    @handle
    def work() -> None:
        log.append("work")
        if len(log) == 2:
            pipelines.replace("main", Trace("new", log))

    @handle
    async def awork() -> None:
        log.append("awork")

    work()
    assert log == ["+old", "work", "-old"]
    log.clear()
    log.append("-")
    await awork()
    handle.call(log.append, "direct")
    assert log == ["-", "+new", "awork", "-new", "+new", "direct", "-new"]
    assert [event.policy for event in recorder.of(PipelineReplaced)] == ["main"]


def test_loading_replaces_what_changed_and_keeps_what_did_not() -> None:
    """A reload keeps the state of unchanged pipelines, replaces changed ones, adds new ones and leaves others alone."""
    clock = ManualClock()
    pipelines = Pipelines(clock=clock)
    document = {"a": [{"circuit_breaker": {"minimum_calls": 1}}], "b": [{"timeout": {"limit_s": 1}}]}
    pipelines.define("code", Timeout(1.0))
    pipelines.load(document)
    before = {name: pipelines.get(name).current for name in pipelines.names()}
    document["b"][0]["timeout"]["limit_s"] = 2
    document["c"] = []
    pipelines.load(document)
    after = {name: pipelines.get(name).current for name in pipelines.names()}
    assert list(after) == ["a", "b", "c", "code"]
    assert [name for name in before if before[name] is not after[name]] == ["b"]
    pipelines.replace("a", Timeout(1.0))
    pipelines.load(document)
    assert isinstance(pipelines.get("a").current, Pipeline)


def test_a_bad_document_changes_nothing() -> None:
    """One problem anywhere, and every pipeline stays as it was; all problems are told at once, each with its path."""
    pipelines = Pipelines()
    pipelines.load({"a": [{"timeout": {"limit_s": 1}}]})
    before = pipelines.get("a").current
    with pytest.raises(InvalidPolicy) as caught:
        pipelines.load({"a": [{"timeout": {"limit_s": 2}}], "b/c": [{"timeout": {"limit_s": -1}}], "d": 3, 4: []})
    assert [problem.path for problem in caught.value.problems] == ["/b~1c/0/timeout/limit_s", "/d", "/4"]
    assert pipelines.names() == ["a"]
    assert pipelines.get("a").current is before
    with pytest.raises(InvalidPolicy, match="must be a mapping of pipeline names"):
        pipelines.load(["timeout"])
