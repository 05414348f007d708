"""Expressions of a workflow, written with Python's operators."""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final, NoReturn, TypeAlias

from maestro_workflow_engine._json import JSON

Value: TypeAlias = "Expression | bool | int | float | str | Sequence[Value] | Mapping[str, Value] | None"
"""JSON data that may hold expressions; in texts `${{ … }}` is read as in a document."""

_OR, _AND, _COMPARISON, _SUM, _PRODUCT, _SIGN, _WHOLE = 1, 2, 4, 5, 6, 7, 9
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Expression:
    """A value that is known only when the workflow runs; as text it is its `${{ … }}`, also inside of an f-string.

    Comparisons, `+ - * / %`, `&` for and, `|` for or, `~` for not, and `[…]` give further expressions.
    """

    __slots__ = ("_level", "_text")
    __hash__ = None  # type: ignore[assignment]  # what has no truth of equality cannot be a key

    def __init__(self, text: str, level: int = _WHOLE) -> None:
        """`text` is what stands between `${{` and `}}`, `level` how tightly its loosest operator binds."""
        self._text = text
        self._level = level

    def __str__(self) -> str:
        return f"${{{{ {self._text} }}}}"

    def __repr__(self) -> str:
        return f"Expression({self._text!r})"

    def __getitem__(self, key: "str | int | Expression") -> "Expression":
        target = _written(self, _WHOLE)
        if isinstance(key, str) and _NAME.fullmatch(key):
            return Expression(f"{target}.{key}")
        return Expression(f"{target}[{_written(key, 0)}]")

    def __eq__(self, other: object) -> "Expression":  # type: ignore[override]  # compared when the workflow runs
        return _joined(self, "==", other, _COMPARISON)

    def __ne__(self, other: object) -> "Expression":  # type: ignore[override]  # as above
        return _joined(self, "!=", other, _COMPARISON)

    def __lt__(self, other: object) -> "Expression":
        return _joined(self, "<", other, _COMPARISON)

    def __le__(self, other: object) -> "Expression":
        return _joined(self, "<=", other, _COMPARISON)

    def __gt__(self, other: object) -> "Expression":
        return _joined(self, ">", other, _COMPARISON)

    def __ge__(self, other: object) -> "Expression":
        return _joined(self, ">=", other, _COMPARISON)

    def __and__(self, other: object) -> "Expression":
        return _joined(self, "&&", other, _AND)

    def __rand__(self, other: object) -> "Expression":
        return _joined(other, "&&", self, _AND)

    def __or__(self, other: object) -> "Expression":
        return _joined(self, "||", other, _OR)

    def __ror__(self, other: object) -> "Expression":
        return _joined(other, "||", self, _OR)

    def __add__(self, other: object) -> "Expression":
        return _joined(self, "+", other, _SUM)

    def __radd__(self, other: object) -> "Expression":
        return _joined(other, "+", self, _SUM)

    def __sub__(self, other: object) -> "Expression":
        return _joined(self, "-", other, _SUM)

    def __rsub__(self, other: object) -> "Expression":
        return _joined(other, "-", self, _SUM)

    def __mul__(self, other: object) -> "Expression":
        return _joined(self, "*", other, _PRODUCT)

    def __rmul__(self, other: object) -> "Expression":
        return _joined(other, "*", self, _PRODUCT)

    def __truediv__(self, other: object) -> "Expression":
        return _joined(self, "/", other, _PRODUCT)

    def __rtruediv__(self, other: object) -> "Expression":
        return _joined(other, "/", self, _PRODUCT)

    def __mod__(self, other: object) -> "Expression":
        return _joined(self, "%", other, _PRODUCT)

    def __rmod__(self, other: object) -> "Expression":
        return _joined(other, "%", self, _PRODUCT)

    def __invert__(self) -> "Expression":
        return Expression(f"!{_written(self, _WHOLE)}", _SIGN)

    def __neg__(self) -> "Expression":
        return Expression(f"-{_written(self, _WHOLE)}", _SIGN)

    def __bool__(self) -> NoReturn:
        raise TypeError(f"{self!r} is true or false only when the workflow runs: write & for and, | for or, ~ for not")

    def __iter__(self) -> NoReturn:
        raise TypeError(f"{self!r} has items only when the workflow runs: give it to `map`, or to call('len', …)")

    def __contains__(self, part: object) -> NoReturn:
        raise TypeError(f"{self!r} is known only when the workflow runs: write call('contains', whole, part)")


class Here:
    """What has a value only at some places."""

    item: Final = Expression("item")
    """The item of a step with `map`."""
    index: Final = Expression("index")
    """The place of that item, from 0."""
    previous: Final = Expression("previous")
    """The output of the iteration before, in `with` of a step with `repeat`."""
    iteration: Final = Expression("iteration")
    """Which iteration it is, from 1."""
    output: Final = Expression("output")
    """In `until` the output of this iteration, in `compensate` that of the step that is undone."""
    workflow: Final = Expression("workflow")
    """`here.workflow["id"]`, and also name, parent, and at the end status, error, failed_step."""


here: Final = Here()


def call(function: str, *arguments: Value) -> Expression:
    """A call of one of the functions that expressions have: `call("len", x)`."""
    return Expression(f"{function}({', '.join(_written(argument, 0) for argument in arguments)})")


def secret(name: str) -> Expression:
    """A secret, for `with` and `tools` only; its value is put in where the step runs, and stored nowhere."""
    return Expression(f"secrets.{name}")


def plain(value: Any) -> JSON:
    """A value as it stands in a document: expressions as text, everything else copied."""
    if isinstance(value, Expression):
        return str(value)
    if isinstance(value, Mapping):
        return {key: plain(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise TypeError(f"{value!r} cannot stand in a definition: give JSON data, or an expression such as step.output")


def _joined(left: object, operator: str, right: object, level: int) -> Expression:
    # A comparison takes no other beside it; every other operator is read from the left.
    at_left = level + (level == _COMPARISON)
    return Expression(f"{_written(left, at_left)} {operator} {_written(right, level + 1)}", level)


def _written(value: object, floor: int) -> str:
    """A value inside of an expression, in parentheses when something in it binds no tighter than `floor`."""
    if isinstance(value, Expression):
        return f"({value._text})" if value._level < floor else value._text
    text = json.dumps(value, allow_nan=False, default=_refuse)
    if isinstance(value, list | tuple | dict):
        return f"from_json({json.dumps(text)})"
    return f"({text})" if text.startswith("-") and floor > _SUM else text


def _refuse(value: object) -> NoReturn:
    raise TypeError(f"{value!r} cannot stand in an expression: give plain data, or compare its parts one by one")
