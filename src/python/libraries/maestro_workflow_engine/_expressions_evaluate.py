"""Turns the tree of an expression into Python closures, once, so that each evaluation is a handful of calls."""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from maestro_workflow_engine._expressions_functions import (
    FUNCTIONS,
    OPERATORS,
    EvaluationFailed,
    ValueAbsent,
    access,
    is_true,
    negate,
)
from maestro_workflow_engine._expressions_syntax import Access, Call, Chain, Literal, Node, Root, Unary

Scope: TypeAlias = Mapping[str, Any]
Evaluate: TypeAlias = Callable[[Scope], Any]

_BOOLEAN_OPERATORS = ("&&", "||")


def compiled(node: Node) -> Evaluate:
    """A function from scope to value; it raises EvaluationFailed whose `offset` says where."""
    if isinstance(node, Literal):
        value = node.value
        return lambda scope: value
    if isinstance(node, Root):
        return _step_value(node) if node.names[0] == "steps" else _root(node)
    if isinstance(node, Access):
        return _access(node)
    if isinstance(node, Unary):
        return _unary(node)
    if isinstance(node, Chain):
        return _boolean(node) if node.rest[0][0] in _BOOLEAN_OPERATORS else _chain(node)
    return _default(node) if node.name == "default" else _call(node)


def _located(error: EvaluationFailed, offset: int) -> EvaluationFailed:
    if error.offset is None:
        error.offset = offset
    return error


def _step_value(node: Root) -> Evaluate:
    _, step, field = node.names

    def evaluate(scope: Scope) -> Any:
        try:
            return scope["steps"][step][field]
        except KeyError:
            raise _located(ValueAbsent(f"step {step!r} has no {field} yet"), node.offset) from None

    return evaluate


def _root(node: Root) -> Evaluate:
    name, keys = node.names[0], node.names[1:]

    def evaluate(scope: Scope) -> Any:
        try:
            value = scope[name]
            for key in keys:
                value = value[key]
        except KeyError:
            raise _located(ValueAbsent(f"{'.'.join(node.names)} has no value here"), node.offset) from None
        return value

    return evaluate


def _access(node: Access) -> Evaluate:
    target = compiled(node.target)
    keys = [(compiled(key), offset) for key, offset in node.keys]

    def evaluate(scope: Scope) -> Any:
        value = target(scope)
        for key, offset in keys:
            wanted = key(scope)
            try:
                value = access(value, wanted)
            except EvaluationFailed as error:
                raise _located(error, offset) from None
        return value

    return evaluate


def _unary(node: Unary) -> Evaluate:
    operand = compiled(node.operand)
    if node.operator == "!":
        return lambda scope: not is_true(operand(scope))

    def evaluate(scope: Scope) -> Any:
        value = operand(scope)
        try:
            return negate(value)
        except EvaluationFailed as error:
            raise _located(error, node.offset) from None

    return evaluate


def _boolean(node: Chain) -> Evaluate:
    """`a && b` is the first operand that is false, or the last; `a || b` the first that is true, or the last."""
    operands = [compiled(node.first), *(compiled(operand) for _, operand, _ in node.rest)]
    stops_at = node.rest[0][0] == "||"

    def evaluate(scope: Scope) -> Any:
        value = None
        for operand in operands:
            value = operand(scope)
            if is_true(value) is stops_at:
                break
        return value

    return evaluate


def _chain(node: Chain) -> Evaluate:
    first = compiled(node.first)
    rest = [(OPERATORS[operator], compiled(operand), offset) for operator, operand, offset in node.rest]

    def evaluate(scope: Scope) -> Any:
        value = first(scope)
        for operator, operand, offset in rest:
            right = operand(scope)
            try:
                value = operator(value, right)
            except EvaluationFailed as error:
                raise _located(error, offset) from None
        return value

    return evaluate


def _default(node: Call) -> Evaluate:
    wanted, otherwise = (compiled(argument) for argument in node.arguments)

    def evaluate(scope: Scope) -> Any:
        try:
            value = wanted(scope)
        except ValueAbsent:
            value = None
        return otherwise(scope) if value is None else value

    return evaluate


def _call(node: Call) -> Evaluate:
    function = FUNCTIONS[node.name]
    arguments = [compiled(argument) for argument in node.arguments]

    def evaluate(scope: Scope) -> Any:
        values = [argument(scope) for argument in arguments]
        try:
            return function(*values)
        except EvaluationFailed as error:
            raise _located(error, node.offset) from None

    return evaluate
