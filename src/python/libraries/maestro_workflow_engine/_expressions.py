"""Templates: JSON data with `${{ … }}` inside its strings."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, TypeAlias

from maestro_workflow_engine._errors import BadExpression, ExpressionFailed
from maestro_workflow_engine._expressions_evaluate import Evaluate, Scope, compiled
from maestro_workflow_engine._expressions_functions import EvaluationFailed, text_of
from maestro_workflow_engine._expressions_syntax import Access, Call, Chain, Node, Root, Unary, parse_expression
from maestro_workflow_engine._expressions_tokens import shown_place
from maestro_workflow_engine._json import JSON, json_faults, json_kind, pointer

MAX_RENDERED_CHARS = 16 * 1024 * 1024

_OPENING = re.compile(r"\$?\$\{\{")


class Use(NamedTuple):
    """One read by an expression, as ("steps", id, field); `path` is the pointer of the string that holds it."""

    names: tuple[str, ...]
    path: str
    offset: int


class _Spent:
    """Counts what one rendering builds, so that many small expressions cannot build something huge."""

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = MAX_RENDERED_CHARS

    def add(self, value: object, path: str) -> None:
        if isinstance(value, str | list):
            self._left -= len(value)
            if self._left < 0:
                size = f"{MAX_RENDERED_CHARS // 2**20} MiB"
                raise ExpressionFailed(
                    f"all values together exceed {size}: hand large data on in a file of the work folder", path=path
                )


_Render: TypeAlias = Callable[[Scope, _Spent], Any]


class Template:
    """JSON data that may hold expressions in its strings; checked when it is made, compiled when it is first rendered.

    What `render` returns may share parts with the scope and with the template: treat it as frozen.
    """

    __slots__ = ("_render", "inputs", "is_constant", "is_expression", "references", "source", "uses", "uses_item")

    def __init__(
        self,
        source: JSON,
        uses: tuple[Use, ...] = (),
        is_constant: bool = True,
        is_expression: bool = False,
    ) -> None:
        self.source = source
        self.uses = uses
        self.is_constant = is_constant
        self.is_expression = is_expression
        self.references = frozenset(use.names[1] for use in uses if use.names[0] == "steps")
        self.inputs = frozenset(use.names[1] for use in uses if use.names[0] == "inputs" and len(use.names) > 1)
        self.uses_item = any(use.names[0] in ("item", "index") for use in uses)
        self._render: _Render | None = None

    def render(self, scope: Mapping[str, object]) -> JSON:
        """The data with every expression replaced by its value; raises ExpressionFailed."""
        if self.is_constant:
            return self.source
        if self._render is None:
            # Not earlier: the closures of ten thousand steps cost more to keep than to make when they are needed.
            self._render = _compiled(self.source, "") or (lambda scope, spent: self.source)
        value: JSON = self._render(scope, _Spent())
        return value

    def __eq__(self, other: object) -> bool:
        return self.source == other.source if isinstance(other, Template) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.references, self.inputs))

    def __repr__(self) -> str:
        return f"Template({self.source!r})"


def compile_template(value: JSON) -> Template:
    """Read every expression inside a value; raises BadExpression, also for what is not plain JSON data."""
    for path, fault in json_faults(value):
        raise BadExpression(f"the value {fault}", offset=0, path=path)
    template, problems = compile_all(value)
    for problem in problems:
        raise problem
    return template


def compile_all(value: JSON) -> tuple[Template, list[BadExpression]]:
    """The template of plain data and everything that cannot be read in it; with problems, it must not be rendered."""
    if not _may_hold_expression(value):
        return Template(value), []
    uses: list[Use] = []
    problems: list[BadExpression] = []
    pieces: list[_Piece] = []
    for path, text in _texts(value, "", problems):
        pieces = []
        try:
            pieces.extend(_pieces(text))  # up to a bad one, so that what stands before it is checked too
        except BadExpression as error:
            problems.append(BadExpression(error.reason, offset=error.offset, path=path))
        nodes = (piece.node for piece in pieces if isinstance(piece, _Written))
        uses += (Use(root.names, path, root.offset) for node in nodes for root in _roots(node))
    is_expression = isinstance(value, str) and len(pieces) == 1 and isinstance(pieces[0], _Written)
    return Template(value, tuple(uses), False, is_expression), problems


def _may_hold_expression(value: JSON) -> bool:
    if isinstance(value, str):
        return "${{" in value
    if isinstance(value, list):
        return any(map(_may_hold_expression, value))
    if isinstance(value, dict):
        return any("${{" in key or _may_hold_expression(member) for key, member in value.items())
    return False


def _texts(value: JSON, path: str, problems: list[BadExpression]) -> Iterator[tuple[str, str]]:
    """Every string that may hold an expression, with its path; keys must not hold any."""
    if isinstance(value, str):
        if "${{" in value:
            yield path, value
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _texts(item, f"{path}/{place}", problems)
    elif isinstance(value, dict):
        for key, member in value.items():
            below = pointer(path, key)
            if "${{" in key:
                reason = "a key cannot hold an expression: name the key, and put the expression into its value"
                problems.append(BadExpression(reason, offset=key.index("${{"), path=below))
            yield from _texts(member, below, problems)


class _Written(NamedTuple):
    """One `${{ … }}` as it was read; `start` is where its inside begins."""

    node: Node
    start: int


_Piece: TypeAlias = str | _Written


def _pieces(text: str) -> Iterator[_Piece]:
    """The literal stretches and the expressions of a text, in order; raises BadExpression."""
    at = 0
    while match := _OPENING.search(text, at):
        if match.start() > at:
            yield text[at : match.start()]
        if match.group() == "$${{":
            yield "${{"
            at = match.end()
        else:
            node, at = parse_expression(text, match.end())
            yield _Written(node, match.end())
    if at < len(text):
        yield text[at:]


def _compiled(value: JSON, path: str) -> _Render | None:
    """How to render a value that was checked, or None when it renders to itself."""
    if isinstance(value, str):
        return _compiled_text(value, path) if "${{" in value else None
    if isinstance(value, list):
        return _compiled_members(value, [(i, _compiled(item, f"{path}/{i}")) for i, item in enumerate(value)])
    if isinstance(value, dict):
        return _compiled_members(value, [(key, _compiled(item, pointer(path, key))) for key, item in value.items()])
    return None


def _compiled_members(value: Any, members: list[tuple[Any, _Render | None]]) -> _Render | None:
    moving = [(key, render) for key, render in members if render is not None]

    def render(scope: Scope, spent: _Spent) -> Any:
        rendered = value.copy()
        for key, member in moving:
            rendered[key] = member(scope, spent)
        return rendered

    return render if moving else None


def _compiled_text(text: str, path: str) -> _Render:
    pieces = [
        piece if isinstance(piece, str) else _Expression(compiled(piece.node), text, piece.start)
        for piece in _pieces(text)
    ]
    if len(pieces) == 1 and isinstance(pieces[0], _Expression):
        return _whole(pieces[0], path)
    return _interpolated(pieces, path)


class _Expression(NamedTuple):
    """One compiled `${{ … }}` and where it stands in its text."""

    evaluate: Evaluate
    text: str
    start: int

    def value(self, scope: Scope, path: str) -> Any:
        try:
            return self.evaluate(scope)
        except EvaluationFailed as error:
            at = self.start if error.offset is None else error.offset
            raise ExpressionFailed(f"{error} {shown_place(self.text, self.start, at)}", path=path) from None

    def failed(self, reason: str, path: str) -> ExpressionFailed:
        return ExpressionFailed(f"{reason} {shown_place(self.text, self.start, self.start)}", path=path)


def _whole(expression: _Expression, path: str) -> _Render:
    """A text that is exactly one expression keeps the type of its value."""

    def render(scope: Scope, spent: _Spent) -> Any:
        value = expression.value(scope, path)
        spent.add(value, path)
        if value is None or isinstance(value, str | int | float | list | dict):
            return value
        if isinstance(value, Mapping):
            return dict(value)
        if isinstance(value, tuple):
            return list(value)
        raise expression.failed(f"the value is {json_kind(value)}, which is not JSON data", path)

    return render


def _interpolated(pieces: list["str | _Expression"], path: str) -> _Render:
    def render(scope: Scope, spent: _Spent) -> str:
        parts: list[str] = []
        for piece in pieces:
            if isinstance(piece, str):
                parts.append(piece)
                continue
            value = piece.value(scope, path)
            try:
                parts.append(text_of(value))
            except EvaluationFailed as error:
                raise piece.failed(str(error), path) from None
            spent.add(parts[-1], path)
        return "".join(parts)

    return render


def _roots(node: Node) -> Iterator[Root]:
    """Every root that an expression may read, in the order of writing."""
    if isinstance(node, Root):
        yield node
    elif isinstance(node, Access):
        yield from _roots(node.target)
        for key, _ in node.keys:
            yield from _roots(key)
    elif isinstance(node, Unary):
        yield from _roots(node.operand)
    elif isinstance(node, Chain):
        yield from _roots(node.first)
        for _, operand, _ in node.rest:
            yield from _roots(operand)
    elif isinstance(node, Call):
        for argument in node.arguments:
            yield from _roots(argument)
