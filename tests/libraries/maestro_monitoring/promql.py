"""A small evaluator of PromQL for the rules under test: parsed by promql-parser, not by us, on made-up counters.

A counter is a function from seconds to its value, or to None while it has no series. `rate` is exact: there are no
scrapes to extrapolate between. Recorded series are evaluated when they are asked for, at that very moment.
"""

import math
import operator
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, TypeAlias

import promql_parser as promql

Labels: TypeAlias = frozenset[tuple[str, str]]
Vector: TypeAlias = dict[Labels, float]
CounterAt: TypeAlias = Callable[[float], float | None]

_ARITHMETIC = {"+": operator.add, "-": operator.sub, "*": operator.mul}
_COMPARISON = {">": operator.gt, "<": operator.lt}


class Evaluator:
    """Evaluates expressions over counters, by name and labels, and over the recording rules of a rule file."""

    def __init__(self, counters: Mapping[tuple[str, Labels], CounterAt], rule_file: Mapping[str, Any]) -> None:
        self._counters = counters
        self._rules = [rule for group in rule_file["groups"] for rule in group["rules"]]

    def firing(self, at_s: float) -> set[str]:
        """The severities of the alerts that fire at that moment."""
        alerts = [rule for rule in self._rules if "alert" in rule]
        return {rule["labels"]["severity"] for rule in alerts if self.vector(rule["expr"], at_s)}

    def value(self, expr: str, at_s: float) -> float | None:
        """The one value of an expression; None when it has none."""
        found = self.vector(expr, at_s)
        assert len(found) <= 1, f"{expr} has several values: {found}"
        return next(iter(found.values()), None)

    def vector(self, expr: str, at_s: float) -> Vector:
        """The instant vector of an expression."""
        found = self._eval(promql.parse(expr), at_s)
        assert isinstance(found, dict), f"{expr} is no vector"
        return found

    def _eval(self, node: Any, at_s: float) -> Vector | float:
        match node:
            case promql.NumberLiteral():
                return float(node.val)
            case promql.ParenExpr():
                return self._eval(node.expr, at_s)
            case promql.VectorSelector():
                return self._recorded(node, at_s)
            case promql.AggregateExpr():
                return self._sum(node, at_s)
            case promql.Call() if node.func.name == "vector":
                return {frozenset(): float(node.args[0].val)}
            case promql.Call() if node.func.name == "rate":
                return self._rate(node.args[0], at_s)
            case promql.BinaryExpr():
                return _binary(str(node.op), self._eval(node.lhs, at_s), self._eval(node.rhs, at_s))
        raise AssertionError(f"the rules use what this evaluator does not know: {node}")

    def _rate(self, node: Any, at_s: float) -> Vector:
        window: timedelta = node.range
        width_s, rates = window.total_seconds(), {}
        for (name, labels), counter in self._counters.items():
            now, before = counter(at_s), counter(at_s - width_s)
            if name == node.vector_selector.name and _selected(node.vector_selector, labels) and now is not None:
                rates[labels] = (now - (before or 0.0)) / width_s
        return rates

    def _recorded(self, node: Any, at_s: float) -> Vector:
        found: Vector = {}
        for rule in self._rules:
            labels: Labels = frozenset(rule["labels"].items())
            if rule.get("record") == node.name and _selected(node, labels):
                found |= {labels | more: value for more, value in self.vector(rule["expr"], at_s).items()}
        return found

    def _sum(self, node: Any, at_s: float) -> Vector:
        assert str(node.op) == "sum", f"the rules use {node.op}, which this evaluator does not know"
        assert node.modifier is None
        inner = self._eval(node.expr, at_s)
        assert isinstance(inner, dict)
        return {frozenset(): math.fsum(inner.values())} if inner else {}


def _selected(selector: Any, labels: Labels) -> bool:
    have = dict(labels)
    return all(_matches(matcher, have.get(matcher.name, "")) for matcher in selector.matchers.matchers)


def _matches(matcher: Any, value: str) -> bool:
    if matcher.op == promql.MatchOp.Equal:
        return value == str(matcher.value)
    if matcher.op == promql.MatchOp.NotEqual:
        return value != str(matcher.value)
    matches = re.fullmatch(str(matcher.value), value) is not None
    return matches if matcher.op == promql.MatchOp.Re else not matches


def _binary(op: str, left: Vector | float, right: Vector | float) -> Vector | float:
    if op in ("and", "or"):
        assert isinstance(left, dict)
        assert isinstance(right, dict)
        return {**right, **left} if op == "or" else {k: v for k, v in left.items() if k in right}
    if isinstance(left, float) and isinstance(right, float):
        return _number(op, left, right)
    paired = list(_paired(left, right))
    if op in _COMPARISON:
        return {labels: one for labels, one, other in paired if _COMPARISON[op](one, other)}
    return {labels: _number(op, one, other) for labels, one, other in paired}


def _paired(left: Vector | float, right: Vector | float) -> Iterator[tuple[Labels, float, float]]:
    if isinstance(left, dict) and isinstance(right, dict):
        yield from ((labels, left[labels], right[labels]) for labels in left.keys() & right.keys())
    elif isinstance(left, dict):
        assert isinstance(right, float)
        yield from ((labels, value, right) for labels, value in left.items())
    else:
        assert isinstance(right, dict)
        yield from ((labels, left, value) for labels, value in right.items())


def _number(op: str, left: float, right: float) -> float:
    if op == "/":
        return left / right if right else math.nan if not left else math.copysign(math.inf, left)
    return float(_ARITHMETIC[op](left, right))


def queried(expr: str) -> list[tuple[str, set[str]]]:
    """Every series that an expression names, with the labels that it matches or groups by."""
    found: list[tuple[str, set[str]]] = []
    grouped: set[str] = set()

    def visit(node: Any) -> None:
        if isinstance(node, promql.AggregateExpr) and node.modifier is not None:
            grouped.update(node.modifier.labels)
        selector = getattr(node, "vector_selector", node)
        if isinstance(selector, promql.VectorSelector):
            assert selector.name is not None, f"{expr} selects without a name"
            found.append((selector.name, {matcher.name for matcher in selector.matchers.matchers}))

    promql.walk(promql.parse(expr), visit)
    return [(name, labels | grouped) for name, labels in found]
