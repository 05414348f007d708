"""Checks of constructor parameters that gather every problem before they raise."""

import reprlib
from collections.abc import Callable, Iterable
from typing import Any, Final

from maestro_resilience._errors import InvalidPolicy, Problem

MAX_SECONDS: Final = 1e9
"""About 31 years: more is a mistake, and the operating system's own waits overflow not far above it."""

MAX_COUNT: Final = 1_000_000_000


class Missing:
    """Type of MISSING, which tells "not given" from None."""

    def __repr__(self) -> str:
        return "MISSING"


MISSING: Final = Missing()


class Checks:
    """Gathers the problems of one constructor; `done` raises them together."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._problems: list[Problem] = []

    def add(self, *problems: Problem) -> None:
        """Take over problems found elsewhere."""
        self._problems.extend(problems)

    def fail(self, parameter: str, wanted: str, value: object) -> None:
        """Note that a parameter is not what it must be."""
        message = "is required" if value is MISSING else f"must be {wanted}, not {reprlib.repr(value)}"
        self._problems.append(Problem(parameter, message))

    def done(self) -> None:
        """Raise InvalidPolicy when anything was wrong."""
        if self._problems:
            listed = "; ".join(f"{problem.path} {problem.message}" for problem in self._problems)
            raise InvalidPolicy(f"{self._kind}: {listed}", problems=tuple(self._problems))

    def number(self, parameter: str, value: object, low: float, high: float, *, open_low: bool = False) -> float:
        """A finite int or float from `low` to `high`; `open_low` excludes `low` itself. A bool is no number."""
        if isinstance(value, int | float) and not isinstance(value, bool):
            high_enough = value > low if open_low else value >= low
            if high_enough and value <= high:
                return float(value)
        self.fail(parameter, f"a number {'above' if open_low else 'from'} {low:g} and at most {high:g}", value)
        return high

    def seconds(self, parameter: str, value: object, *, zero: bool = False) -> float:
        """A span of time in seconds, above zero unless `zero` allows it."""
        return self.number(parameter, value, 0, MAX_SECONDS, open_low=not zero)

    def ratio(self, parameter: str, value: object, *, zero: bool = False) -> float:
        """A share of the whole: at most 1, above zero unless `zero` allows it."""
        return self.number(parameter, value, 0, 1, open_low=not zero)

    def count(self, parameter: str, value: object, *, low: int = 1) -> int:
        """A whole number from `low`. A bool is no number, and neither is 3.0."""
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= MAX_COUNT:
            return value
        self.fail(parameter, f"a whole number from {low} to {MAX_COUNT}", value)
        return MAX_COUNT

    def flag(self, parameter: str, value: object) -> bool:
        """True or False, not something that is merely truthy."""
        if not isinstance(value, bool):
            self.fail(parameter, "True or False", value)
        return value is True

    def text(self, parameter: str, value: object) -> str:
        """A string that is not empty."""
        if isinstance(value, str) and value:
            return value
        self.fail(parameter, "a string that is not empty", value)
        return ""

    def function(self, parameter: str, value: Callable[..., Any] | None) -> Callable[..., Any] | None:
        """A callable, or None when the caller gave none."""
        if value is not None and not callable(value):
            self.fail(parameter, "a function", value)
        return value

    def functions(self, parameter: str, values: Iterable[Callable[..., Any]]) -> tuple[Callable[..., Any], ...]:
        """Several callables."""
        if isinstance(values, Iterable) and not isinstance(values, str | bytes):
            functions = tuple(values)
            if all(callable(value) for value in functions):
                return functions
        self.fail(parameter, "a sequence of functions", values)
        return ()
