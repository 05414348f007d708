"""Policies written as data (from YAML, say): a list of `{kind: {parameter: value}}`, outermost first."""

import inspect
import random as _random
import reprlib
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from maestro_resilience import _errors
from maestro_resilience._adaptive import AdaptiveBulkhead
from maestro_resilience._breaker import CircuitBreaker
from maestro_resilience._bulkhead import Bulkhead
from maestro_resilience._chaos import Chaos
from maestro_resilience._checks import MISSING
from maestro_resilience._clock import SYSTEM_CLOCK, Clock
from maestro_resilience._conditions import retryable
from maestro_resilience._errors import InvalidPolicy, Problem
from maestro_resilience._events import Listener
from maestro_resilience._fallback import Fallback
from maestro_resilience._hedge import Hedge
from maestro_resilience._pipeline import Pipeline
from maestro_resilience._policy import Policy
from maestro_resilience._rate_limit import RateLimit
from maestro_resilience._retry import Retry
from maestro_resilience._timeout import Timeout

MAX_POLICIES: Final = 32

_KINDS: Final[dict[str, type[Policy]]] = {
    kind.kind: kind
    for kind in (AdaptiveBulkhead, Bulkhead, Chaos, CircuitBreaker, Fallback, Hedge, RateLimit, Retry, Timeout)
}
_FROM_CODE: Final = {"name", "clock", "random", "listeners"}
"""Constructor parameters that data cannot set."""

_BY_NAME: Final = {"on", "on_result", "use", "fault", "budget"}
"""Parameters whose strings name something in `names`."""

_NAMES: Final[dict[str, object]] = {
    "Exception": Exception,
    "ConnectionError": ConnectionError,
    "OSError": OSError,
    "TimeoutError": TimeoutError,
    "retryable": retryable,
    **{
        name: value
        for name, value in vars(_errors).items()
        if isinstance(value, type) and issubclass(value, _errors.ResilienceError)
    },
}


class PipelineReader:
    """Reads pipelines; `names` adds to the exceptions, predicates, functions and budgets that the data may name."""

    def __init__(
        self,
        *,
        names: Mapping[str, object] | None = None,
        clock: Clock = SYSTEM_CLOCK,
        random: Callable[[], float] = _random.random,
        listeners: Iterable[Listener] = (),
    ) -> None:
        self._names = {**_NAMES, **(names or {})}
        self._clock = clock
        self._random = random
        self._listeners = tuple(listeners)

    def read(self, name: str, spec: object, problems: list[Problem], path: str = "") -> Pipeline | None:
        """The pipeline; None when anything was wrong, which is then added to `problems`."""
        if not isinstance(spec, list):
            problems.append(Problem(path, "must be a list of policies, outermost first"))
            return None
        if len(spec) > MAX_POLICIES:
            problems.append(Problem(path, f"has {len(spec)} policies; at most {MAX_POLICIES} make sense"))
            return None
        before = len(problems)
        policies = [self._policy(name, entry, f"{path}/{index}", problems) for index, entry in enumerate(spec)]
        if len(problems) > before:
            return None
        made = [policy for policy in policies if policy is not None]
        return Pipeline(*made, name=name, clock=self._clock, listeners=self._listeners)

    def _policy(self, pipeline: str, entry: object, path: str, problems: list[Problem]) -> Policy | None:
        if not isinstance(entry, Mapping) or len(entry) != 1:
            problems.append(Problem(path, "must be a mapping with one key, the kind of policy"))
            return None
        kind, parameters = next(iter(entry.items()))
        made = _KINDS.get(kind) if isinstance(kind, str) else None
        if made is None:
            problems.append(Problem(path, f"no policy is called {reprlib.repr(kind)}{_hint(kind, _KINDS)}"))
            return None
        path = f"{path}/{kind}"
        if not isinstance(parameters, Mapping):
            problems.append(Problem(path, "must be a mapping of parameters"))
            return None
        return self._made(made, f"{pipeline}/{kind}", parameters, path, problems)

    def _made(
        self, kind: type[Policy], name: str, parameters: Mapping[Any, object], path: str, problems: list[Problem]
    ) -> Policy | None:
        signature = inspect.signature(kind).parameters
        settable = {key: parameter for key, parameter in signature.items() if key not in _FROM_CODE}
        values: dict[str, Any] = {
            key: MISSING for key, parameter in settable.items() if parameter.default is inspect.Parameter.empty
        }
        before = len(problems)
        for key, value in parameters.items():
            here = f"{path}/{pointer(key)}"
            if key not in settable:
                problems.append(Problem(here, f"is no parameter of {kind.kind}{_hint(key, settable)}"))
            else:
                values[key] = self._named(value, here, problems) if key in _BY_NAME else value
        if "random" in signature:
            values["random"] = self._random
        try:
            return kind(name=name, clock=self._clock, listeners=self._listeners, **values)
        except InvalidPolicy as bad:
            told = {problem.path for problem in problems[before:]}
            found = [Problem(f"{path}/{problem.path}", problem.message) for problem in bad.problems]
            problems.extend(problem for problem in found if problem.path not in told)
            return None

    def _named(self, value: object, path: str, problems: list[Problem]) -> object:
        """What a string, or each string of a list, names; anything else as it is, for the policy itself to judge."""
        wanted = value if isinstance(value, list) else [value]
        found = []
        for name in wanted:
            if isinstance(name, str) and name not in self._names:
                problems.append(
                    Problem(path, f"{reprlib.repr(name)} names nothing known here{_hint(name, self._names)}")
                )
            found.append(self._names.get(name, MISSING) if isinstance(name, str) else name)
        if any(item is MISSING for item in found):
            return MISSING
        return found if isinstance(value, list) else found[0]


def pointer(key: object) -> str:
    """A key as one part of a JSON Pointer."""
    return str(key).replace("~", "~0").replace("/", "~1")


def _hint(name: object, known: Iterable[str]) -> str:
    close = get_close_matches(str(name)[:100], list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are: {', '.join(sorted(known))}"


def invalid(problems: list[Problem]) -> InvalidPolicy:
    """One error that holds and lists all the problems."""
    return InvalidPolicy("invalid pipelines: " + "; ".join(map(str, problems)), problems=tuple(problems))


def build_pipeline(
    name: str,
    spec: object,
    *,
    names: Mapping[str, object] | None = None,
    clock: Clock = SYSTEM_CLOCK,
    random: Callable[[], float] = _random.random,
    listeners: Iterable[Listener] = (),
) -> Pipeline:
    """A pipeline from data: a list of `{kind: {parameter: value}}`, outermost first.

    Exceptions, functions and budgets are named in the data and looked up in `names`, beside a few built-in ones:
    nothing is imported. Raises InvalidPolicy with every problem and its JSON Pointer.
    """
    problems: list[Problem] = []
    reader = PipelineReader(names=names, clock=clock, random=random, listeners=listeners)
    pipeline = reader.read(name, spec, problems)
    if pipeline is None:
        raise invalid(problems)
    return pipeline
