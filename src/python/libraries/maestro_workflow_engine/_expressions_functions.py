"""What expressions compute with: operators and functions on JSON values, each bounded in what it may build."""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from maestro_workflow_engine._json import JSON, MAX_INTEGER, MIN_INTEGER, json_equal, json_faults, json_kind

MAX_BUILT_CHARS = 4 * 1024 * 1024
MAX_BUILT_ITEMS = 100_000
MAX_RANGE = 10_000

_TOO_LONG = (
    f"it would build more than {MAX_BUILT_CHARS // 2**20} MiB of text: hand large data on in a file of the work folder"
)
_TOO_MANY = f"it would build a list of more than {MAX_BUILT_ITEMS:,} items"


class EvaluationFailed(Exception):
    """An operator or function was given what it cannot work with; `offset` is filled in where it is known."""

    offset: int | None = None


class ValueAbsent(EvaluationFailed):
    """There is no value at the place that was read; `default` catches this and nothing else."""


def is_true(value: object) -> bool:
    """Truth: false, null, 0, "", [] and {} are false; everything else is true."""
    return bool(value)


def text_of(value: object) -> str:
    """A value as it is put into text: strings as they are, others as JSON."""
    return value if isinstance(value, str) else to_json(value)


def access(target: object, key: object) -> Any:
    """The member of an object or the item of an array; raises ValueAbsent when there is none."""
    if isinstance(target, Mapping):
        if not isinstance(key, str):
            raise EvaluationFailed(f"an object has strings for keys, not {json_kind(key)}")
        try:
            return target[key]
        except KeyError:
            raise ValueAbsent(
                f"there is no key {_short(key)}{_keys_hint(target)}; write default(…, …) if it may be missing"
            ) from None
    if isinstance(target, list | tuple):
        if isinstance(key, bool) or not isinstance(key, int):
            raise EvaluationFailed(f"an array has integers for places, as in [0], not {_short(key)}")
        try:
            return target[key]
        except IndexError:
            raise ValueAbsent(
                f"there is no item {_short(key)} in an array of {len(target)}; write default(…, …) if it may be missing"
            ) from None
    if target is None:
        raise ValueAbsent(f"null has no {_short(key)}; write default(…, …) if it may be missing")
    raise EvaluationFailed(f"{json_kind(target)} has no {_short(key)}")


def _short(key: object) -> str:
    text = to_json(key) if isinstance(key, str | int | float) else json_kind(key)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _keys_hint(target: Mapping[str, object]) -> str:
    shown = [_short(key) for _, key in zip(range(8), target, strict=False)]
    if not shown:
        return " in an empty object"
    return f" beside {', '.join(shown)}{' …' if len(target) > len(shown) else ''}"


def negate(value: object) -> int | float:
    """`-x`."""
    return _bounded(-_number("-", value))


def add(left: object, right: object) -> JSON:
    """`+`: two numbers or two strings."""
    if isinstance(left, str) and isinstance(right, str):
        if len(left) + len(right) > MAX_BUILT_CHARS:
            raise EvaluationFailed(_TOO_LONG)
        return left + right
    if isinstance(left, str) or isinstance(right, str):
        raise EvaluationFailed(
            f"'+' takes two numbers or two strings, not {json_kind(left)} and {json_kind(right)}: "
            "write text with several ${{ … }} instead"
        )
    return _bounded(_number("+", left) + _number("+", right))


def subtract(left: object, right: object) -> JSON:
    """`-`."""
    return _bounded(_number("-", left) - _number("-", right))


def multiply(left: object, right: object) -> JSON:
    """`*`: numbers only, so that text cannot be repeated."""
    return _bounded(_number("*", left) * _number("*", right))


def divide(left: object, right: object) -> JSON:
    """`/`: an integer when two integers divide exactly, otherwise a float."""
    a, b = _number("/", left), _divisor("/", right)
    if isinstance(a, int) and isinstance(b, int) and a % b == 0:
        return _bounded(a // b)
    return _bounded(a / b)


def remainder(left: object, right: object) -> JSON:
    """`%`: has the sign of the divisor."""
    return _bounded(_number("%", left) % _divisor("%", right))


def _divisor(operator: str, value: object) -> int | float:
    number = _number(operator, value)
    if number == 0:
        raise EvaluationFailed("division by zero")
    return number


def _number(operator: str, value: object) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise EvaluationFailed(f"'{operator}' takes numbers, not {json_kind(value)}")
    return _bounded(value)


def _bounded(number: int | float) -> int | float:
    if isinstance(number, int):
        if MIN_INTEGER <= number <= MAX_INTEGER:
            return number
        raise EvaluationFailed("the integer does not fit into 64 bits")
    if math.isfinite(number):
        return number
    raise EvaluationFailed("the number is not finite")


def less(left: object, right: object) -> bool:
    """`<`: two numbers, or two strings by their code points."""
    a, b = _comparable(left, right)
    return a < b  # type: ignore[no-any-return]  # both are numbers, or both are strings


def less_or_equal(left: object, right: object) -> bool:
    """`<=`."""
    a, b = _comparable(left, right)
    return a <= b  # type: ignore[no-any-return]  # as above


def _comparable(left: object, right: object) -> tuple[Any, Any]:
    if isinstance(left, str) and isinstance(right, str):
        return left, right
    numbers = (int, float)
    if (
        isinstance(left, numbers)
        and isinstance(right, numbers)
        and not isinstance(left, bool)
        and not isinstance(right, bool)
    ):
        return left, right
    raise EvaluationFailed(
        f"only two numbers or two strings have an order, not {json_kind(left)} and {json_kind(right)}"
    )


def contains(container: object, part: object) -> bool:
    """Whether an array holds an equal item, a string another string, or an object a key."""
    if isinstance(container, str):
        if isinstance(part, str):
            return part in container
        raise EvaluationFailed(f"a string contains strings only, not {json_kind(part)}")
    if isinstance(container, Mapping):
        if isinstance(part, str):
            return part in container
        raise EvaluationFailed(f"an object has strings for keys, not {json_kind(part)}")
    if isinstance(container, list | tuple):
        return any(json_equal(item, part) for item in container)
    raise EvaluationFailed(f"{json_kind(container)} contains nothing: it takes an array, a string or an object")


def _len(value: object) -> int:
    if isinstance(value, str | list | tuple | Mapping):
        return len(value)
    raise EvaluationFailed(f"len takes a string, an array or an object, not {json_kind(value)}")


def _starts_with(text: object, prefix: object) -> bool:
    return _string("starts_with", text).startswith(_string("starts_with", prefix))


def _ends_with(text: object, suffix: object) -> bool:
    return _string("ends_with", text).endswith(_string("ends_with", suffix))


def _join(items: object, separator: object = "") -> str:
    if not isinstance(items, list | tuple):
        raise EvaluationFailed(f"join takes an array, not {json_kind(items)}")
    between = _string("join", separator)
    parts: list[str] = []
    chars = len(between) * max(len(items) - 1, 0)
    for item in items:
        parts.append(text_of(item))
        chars += len(parts[-1])
        if chars > MAX_BUILT_CHARS:
            raise EvaluationFailed(_TOO_LONG)
    return between.join(parts)


def _split(text: object, separator: object) -> list[JSON]:
    whole, between = _string("split", text), _string("split", separator)
    if not between:
        raise EvaluationFailed("split needs a separator that is not empty")
    if whole.count(between) >= MAX_BUILT_ITEMS:
        raise EvaluationFailed(_TOO_MANY)
    return list(whole.split(between))


def to_json(value: object) -> str:
    """Compact JSON of a value, keys in their order."""
    chars = 0
    for size in _sizes(value):
        chars += size
        if chars > MAX_BUILT_CHARS:
            raise EvaluationFailed(_TOO_LONG)
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_plain)
    except (TypeError, ValueError, RecursionError) as error:
        raise EvaluationFailed("the value is not plain JSON data") from error
    if len(text) > MAX_BUILT_CHARS:
        raise EvaluationFailed(_TOO_LONG)
    return text


def _sizes(value: object) -> Iterator[int]:
    """Characters that the JSON of a value has at least, bit by bit."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            yield len(item) + 2
        elif isinstance(item, Mapping):
            stack.extend(item.values())
            yield 2 + len(item) * 4 + sum(len(key) for key in item if isinstance(key, str))
        elif isinstance(item, list | tuple):
            stack.extend(item)
            yield 2 + len(item)
        else:
            yield 1


def _plain(value: object) -> dict[str, object]:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type(value).__name__)


def _from_json(text: object) -> JSON:
    source = _string("from_json", text)
    if len(source) > MAX_BUILT_CHARS:
        raise EvaluationFailed(_TOO_LONG)
    try:
        value: JSON = json.loads(source)
    except (ValueError, RecursionError):
        raise EvaluationFailed("from_json was given text that is not JSON, or is nested too deep") from None
    for _, fault in json_faults(value):
        raise EvaluationFailed(f"from_json was given JSON in which a value {fault}")
    return value


def _keys(value: object) -> list[JSON]:
    return list(_object("keys", value))


def _values(value: object) -> list[JSON]:
    return list(_object("values", value).values())


def _range(*bounds: object) -> list[JSON]:
    limits = [_integer("range", bound) for bound in bounds]
    if limits[2:] == [0]:
        raise EvaluationFailed("range needs a step that is not zero")
    numbers = range(*limits)
    if len(numbers[: MAX_RANGE + 1]) > MAX_RANGE:
        raise EvaluationFailed(f"range would build more than {MAX_RANGE:,} items")
    return list(numbers)


def _string(function: str, value: object) -> str:
    if isinstance(value, str):
        return value
    raise EvaluationFailed(f"{function} takes a string here, not {json_kind(value)}")


def _integer(function: str, value: object) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise EvaluationFailed(f"{function} takes integers, not {json_kind(value)}")


def _object(function: str, value: object) -> Mapping[str, JSON]:
    if isinstance(value, Mapping):
        return value
    raise EvaluationFailed(f"{function} takes an object, not {json_kind(value)}")


OPERATORS: dict[str, Callable[[Any, Any], JSON]] = {
    "==": json_equal,
    "!=": lambda left, right: not json_equal(left, right),
    "<": less,
    "<=": less_or_equal,
    ">": lambda left, right: less(right, left),
    ">=": lambda left, right: less_or_equal(right, left),
    "in": lambda left, right: contains(right, left),
    "+": add,
    "-": subtract,
    "*": multiply,
    "/": divide,
    "%": remainder,
}

FUNCTIONS: dict[str, Callable[..., JSON]] = {
    "contains": contains,
    "ends_with": _ends_with,
    "from_json": _from_json,
    "join": _join,
    "keys": _keys,
    "len": _len,
    "range": _range,
    "split": _split,
    "starts_with": _starts_with,
    "to_json": to_json,
    "values": _values,
}

ARITIES: dict[str, tuple[int, int]] = {
    "contains": (2, 2),
    "default": (2, 2),
    "ends_with": (2, 2),
    "from_json": (1, 1),
    "join": (1, 2),
    "keys": (1, 1),
    "len": (1, 1),
    "range": (1, 3),
    "split": (2, 2),
    "starts_with": (2, 2),
    "to_json": (1, 1),
    "values": (1, 1),
}
