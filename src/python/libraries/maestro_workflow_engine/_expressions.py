"""Templates: JSON data with `${{ … }}` inside its strings."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from maestro_workflow_engine._errors import BadExpression, ExpressionFailed
from maestro_workflow_engine._expressions_evaluate import Evaluate, Scope, compiled
from maestro_workflow_engine._expressions_functions import EvaluationFailed, text_of
from maestro_workflow_engine._expressions_syntax import (
    Access,
    Call,
    Chain,
    Literal,
    Node,
    Root,
    Unary,
    parse_expression,
    parse_plain_path,
)
from maestro_workflow_engine._expressions_tokens import shown_place
from maestro_workflow_engine._json import JSON, json_faults, json_kind, pointer

MAX_RENDERED_CHARS = 16 * 1024 * 1024

_CONTAINERS = (list, dict)
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


_OF_MAPS: Final = frozenset({"item", "index"})
_NO_NAMES: Final[frozenset[str]] = frozenset()
_Render: TypeAlias = Callable[[Scope, _Spent], Any]


class Template:
    """JSON data that may hold expressions in its strings; checked when it is made, compiled when it is first rendered.

    What `render` returns may share parts with the scope and with the template: treat it as frozen.
    """

    __slots__ = ("_render", "is_constant", "is_expression", "source", "uses")

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
        self._render: _Render | None = None

    # Worked out when asked for: sets for each of ten thousand steps would cost more than all other checks of them.

    @property
    def references(self) -> frozenset[str]:
        """The steps that it reads."""
        return self._named("steps")

    @property
    def inputs(self) -> frozenset[str]:
        """The inputs that it reads by name."""
        return self._named("inputs")

    @property
    def secrets(self) -> frozenset[str]:
        """The secrets that it reads."""
        return self._named("secrets")

    @property
    def uses_item(self) -> bool:
        """Whether it reads the item of a map, or its place."""
        return not _OF_MAPS.isdisjoint([names[0] for names, _, _ in self.uses])

    def _named(self, root: str) -> frozenset[str]:
        if not self.uses:
            return _NO_NAMES
        return frozenset([names[1] for names, _, _ in self.uses if names[0] == root and len(names) > 1])

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
        return hash(self.uses)

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
    texts: list[tuple[str, str]] = []
    problems: list[BadExpression] = []
    _find_texts(value, "", texts, problems)
    if not texts and not problems:
        return Template(value), problems
    uses: list[Use] = []
    is_expression = False
    for path, text in texts:
        try:
            is_expression = _find_reads(text, path, uses)  # up to a bad one: what stands before it is checked too
        except BadExpression as error:
            problems.append(BadExpression(error.reason, offset=error.offset, path=path))
    return Template(value, tuple(uses), False, is_expression and isinstance(value, str)), problems


def _find_reads(text: str, path: str, uses: list[Use]) -> bool:
    """Everything that the expressions of a text read; whether the text is one expression. Raises BadExpression."""
    at = count = 0
    while match := _OPENING.search(text, at):
        at = match.end()
        if match.group() == "$${{":
            continue
        count += 1
        plain = parse_plain_path(text, at)
        node, at = plain if plain is not None else parse_expression(text, at)
        _find_uses(node, path, uses)
    return count == 1 and at == len(text) and text.startswith("${{")


def _find_texts(value: JSON, path: str, texts: list[tuple[str, str]], problems: list[BadExpression]) -> None:
    """Every string that may hold an expression, with its path; keys must not hold any."""
    if isinstance(value, str):
        if "${{" in value:
            texts.append((path, value))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            # A path is made only where it is wanted: most strings are plain.
            if "${{" in item if isinstance(item, str) else isinstance(item, _CONTAINERS):
                _find_texts(item, f"{path}/{place}", texts, problems)
    elif isinstance(value, dict):
        for key, member in value.items():
            if "${{" in key:
                reason = "a key cannot hold an expression: name the key, and put the expression into its value"
                problems.append(BadExpression(reason, offset=key.index("${{"), path=pointer(path, key)))
            if "${{" in member if isinstance(member, str) else isinstance(member, _CONTAINERS):
                _find_texts(member, pointer(path, key), texts, problems)


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


def _find_uses(node: Node, path: str, uses: list[Use]) -> None:
    """Every root that an expression may read, in the order of writing."""
    if isinstance(node, Root):
        uses.append(Use(node.names, path, node.offset))
    elif isinstance(node, Access):
        _find_uses(node.target, path, uses)
        for key, _ in node.keys:
            if not isinstance(key, Literal):
                _find_uses(key, path, uses)
    elif isinstance(node, Unary):
        _find_uses(node.operand, path, uses)
    elif isinstance(node, Chain):
        _find_uses(node.first, path, uses)
        for _, operand, _ in node.rest:
            _find_uses(operand, path, uses)
    elif isinstance(node, Call):
        for argument in node.arguments:
            _find_uses(argument, path, uses)
