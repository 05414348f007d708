"""Which exceptions a policy acts on: types, predicates, or several of both."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from maestro_resilience._checks import Checks

Predicate: TypeAlias = Callable[[Exception], bool]

Condition: TypeAlias = type[Exception] | Predicate | Sequence[type[Exception] | Predicate]
"""An exception type, a predicate over the exception, or a sequence of these of which any one is enough."""

_WANTED = "an exception type below Exception, a function of the exception, or a sequence of these"


def retryable(error: Exception) -> bool:
    """Whether the error says of itself that a retry can help: a true `retryable` attribute."""
    return getattr(error, "retryable", False) is True


def compile_condition(checks: Checks, parameter: str, condition: object) -> Predicate:
    """One predicate for a condition; notes a problem when it is none."""
    parts = list(condition) if isinstance(condition, tuple | list) else [condition]
    types: list[type[Exception]] = []
    predicates: list[Predicate] = []
    for part in parts:
        if isinstance(part, type):
            if issubclass(part, Exception):
                types.append(part)
                continue
        elif callable(part):
            predicates.append(part)
            continue
        checks.fail(parameter, _WANTED, part)
    if not parts:
        checks.fail(parameter, _WANTED, condition)
    return _any_of(tuple(types), predicates)


def _any_of(types: tuple[type[Exception], ...], predicates: list[Predicate]) -> Predicate:
    if not predicates:
        return lambda error: isinstance(error, types)
    if not types and len(predicates) == 1:
        return predicates[0]
    return lambda error: isinstance(error, types) or any(predicate(error) for predicate in predicates)
