"""The grammar of expressions: tokens to a small tree.

From loose to tight: `||` `or` · `&&` `and` · `not` · `== != < <= > >= in` (no chains) · `+ -` · `* / %` ·
`!` and unary `-` · `.name` and `[key]`.
"""

import re
from typing import TypeAlias

from maestro_workflow_engine._dataclasses import dataclass
from maestro_workflow_engine._errors import BadExpression
from maestro_workflow_engine._expressions_functions import ARITIES
from maestro_workflow_engine._expressions_tokens import MAX_EXPRESSION_CHARS, Scanner, Token
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._problems import did_you_mean

MAX_EXPRESSION_DEPTH = 64

ROOTS = ("inputs", "steps", "item", "index", "workflow", "previous", "iteration", "output", "secrets")
STEP_FIELDS = ("output", "status", "error")
WORKFLOW_FIELDS = ("id", "name", "status", "error", "failed_step", "parent")


@dataclass(frozen=True, slots=True)
class Literal:
    """A value as written."""

    value: JSON
    offset: int


@dataclass(frozen=True, slots=True)
class Root:
    """Where reading begins: ("inputs",), ("inputs", name), ("steps", id, field), ("item",), ("workflow", field), …"""

    names: tuple[str, ...]
    offset: int


@dataclass(frozen=True, slots=True)
class Access:
    """`target.name[key]…`: each key with its offset, in the order of reading."""

    target: "Node"
    keys: tuple[tuple["Node", int], ...]
    offset: int


@dataclass(frozen=True, slots=True)
class Unary:
    """`!x` or `-x`."""

    operator: str
    operand: "Node"
    offset: int


@dataclass(frozen=True, slots=True)
class Chain:
    """Operands joined by operators of one level, read from left to right."""

    first: "Node"
    rest: tuple[tuple[str, "Node", int], ...]
    offset: int


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a function, whose name and number of arguments are right."""

    name: str
    arguments: tuple["Node", ...]
    offset: int


Node: TypeAlias = Literal | Root | Access | Unary | Chain | Call

_CONSTANTS: dict[str, JSON] = {"true": True, "false": False, "null": None}
_WORDS = {"and": "&&", "or": "||", "not": "not", "in": "in"}
_OR, _AND, _NOT, _COMPARISON, _SUM, _PRODUCT, _SIGN = range(1, 8)
_LEVELS = {"||": _OR, "&&": _AND, "in": _COMPARISON, "+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT, "%": _PRODUCT}
_LEVELS |= dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), _COMPARISON)

_SECRET_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_PLAIN_PATH = re.compile(
    r"""[ \t\r\n]*
    (steps\.[A-Za-z_][A-Za-z0-9_-]*\.(?:output|status|error) | inputs\.[A-Za-z_][A-Za-z0-9_]* | item)
    (?:\.[A-Za-z_][A-Za-z0-9_]*)*
    [ \t\r\n]*\}\}""",
    re.VERBOSE,
)


def parse_expression(text: str, start: int) -> tuple[Node, int]:
    """The tree of the expression that begins behind a `${{`, and where the text goes on; raises BadExpression."""
    return _Parser(text, start).whole()


def parse_plain_path(text: str, start: int) -> tuple[Root, int] | None:
    """The root of an expression that is a path of names and nothing else, and where the text goes on.

    Most expressions are; finding what they read without a tree makes a large definition twice as quick to check.
    """
    match = _PLAIN_PATH.match(text, start)
    if match is None or match.end() - start > MAX_EXPRESSION_CHARS:
        return None
    return Root(tuple(match.group(1).split(".")), match.start(1)), match.end()


class _Parser:
    def __init__(self, text: str, start: int) -> None:
        self._scanner = Scanner(text, start)
        self._depth = 0
        self._token = self._scanner.next()

    def whole(self) -> tuple[Node, int]:
        if self._token.text == "}}":
            raise self._refused("the expression is empty")
        node = self._chain(0)
        end = self._token
        if end.kind != "end":
            raise self._refused(f"expected an operator or '}}}}', not {end}")
        return node, end.offset + 2

    def _chain(self, floor: int) -> Node:
        """Everything that binds tighter than `floor`; one call nests at most five chains, one per level."""
        self._depth += 1
        if self._depth > MAX_EXPRESSION_DEPTH:
            raise self._refused(f"the expression is nested deeper than {MAX_EXPRESSION_DEPTH}: do part of it in a step")
        node = self._operand(floor)
        while (level := self._level()) > floor:
            rest: list[tuple[str, Node, int]] = []
            while self._level() == level:
                token = self._advance()
                if level == _COMPARISON and rest:
                    raise self._refused("comparisons cannot be chained: join two with '&&'", token)
                rest.append((_WORDS.get(token.text, token.text), self._chain(level), token.offset))
            node = Chain(node, tuple(rest), node.offset)
        self._depth -= 1
        return node

    def _level(self) -> int:
        text = self._token.text
        return _LEVELS.get(_WORDS.get(text, text), 0)

    def _operand(self, floor: int) -> Node:
        token = self._token
        if token.kind in ("number", "string"):
            self._advance()
            return self._accesses(Literal(token.value, token.offset))
        if token.kind == "name":
            return self._not(floor) if token.text == "not" else self._accesses(self._named())
        if token.text in ("-", "!"):
            self._advance()
            return Unary(token.text, self._chain(_SIGN), token.offset)
        if token.text == "(":
            self._advance()
            node = self._chain(0)
            self._expect(")")
            return self._accesses(node)
        raise self._refused(f"expected a value, not {token}")

    def _not(self, floor: int) -> Node:
        token = self._advance()
        if floor >= _COMPARISON:
            raise self._refused("put 'not …' in parentheses here", token)
        return Unary("!", self._chain(_NOT), token.offset)

    def _named(self) -> Node:
        token = self._token
        name = token.text
        if name in _CONSTANTS:
            self._advance()
            return Literal(_CONSTANTS[name], token.offset)
        if name in ROOTS:
            return self._root(token)
        self._advance()
        if self._token.text == "(":
            return self._call(token)
        if name in ARITIES:
            raise self._refused(f"{name} is a function: write {name}(…) with its arguments", token)
        known = (*ROOTS, *_CONSTANTS, *ARITIES)
        raise self._refused(
            f"an expression knows no {name!r}{did_you_mean(name, known)}: begin with {', '.join(ROOTS)} or a function, "
            "and put text into quotes",
            token,
        )

    def _root(self, token: Token) -> Node:
        name = token.text
        self._advance()
        if name == "steps":
            step = self._static_key("steps", "the id of a step", hyphens=True)
            field = self._static_key(f"steps.{step}", "output, status or error", known=STEP_FIELDS)
            return Root((name, step, field), token.offset)
        if name == "workflow":
            return Root((name, self._static_key(name, ", ".join(WORKFLOW_FIELDS), known=WORKFLOW_FIELDS)), token.offset)
        if name == "secrets":
            secret = self._static_key(name, "the name of a secret")
            if not _SECRET_NAME.fullmatch(secret):
                rule = "letters, digits and '_', begins with a letter or '_', and has at most 64 characters"
                raise self._refused(f"the name of a secret holds {rule}", token)
            return Root((name, secret), token.offset)
        if name == "inputs" and self._token.text in (".", "["):
            return Root((name, self._static_key(name, "the name of an input")), token.offset)
        return Root((name,), token.offset)

    def _static_key(self, owner: str, what: str, *, hyphens: bool = False, known: tuple[str, ...] = ()) -> str:
        """A key that is known before anything runs, as `.name` or `['name']`."""
        opening = self._token
        if opening.text == ".":
            key = self._token = self._scanner.next_step_name() if hyphens else self._scanner.next()
            if key.kind != "name":
                raise self._refused(f"expected {what} behind '{owner}.', not {key}")
            name = key.text
            self._advance()
        elif opening.text == "[":
            key = self._advance_to_next()
            if key.kind != "string" or not isinstance(key.value, str):
                raise self._refused(
                    f"expected {what} in quotes behind '{owner}[': it must be known before anything runs"
                )
            name = key.value
            self._advance()
            self._expect("]")
        else:
            raise self._refused(f"'{owner}' alone has no value: write {owner}.… with {what}")
        if known and name not in known:
            raise self._refused(f"{owner} has {what}, not {name!r}{did_you_mean(name, known)}", key)
        return name

    def _accesses(self, node: Node) -> Node:
        keys: list[tuple[Node, int]] = []
        while (opening := self._token).text in (".", "["):
            key = self._advance_to_next()
            if opening.text == ".":
                if key.kind != "name":
                    raise self._refused(
                        f"expected a name behind '.', not {key}; write [0] for an item, ['a-b'] for other keys"
                    )
                keys.append((Literal(key.text, key.offset), opening.offset))
                self._advance()
            else:
                keys.append((self._chain(0), opening.offset))
                self._expect("]")
        return Access(node, tuple(keys), node.offset) if keys else node

    def _call(self, token: Token) -> Node:
        name = token.text
        if name not in ARITIES:
            raise self._refused(
                f"there is no function {name!r}{did_you_mean(name, ARITIES)}: there are {', '.join(ARITIES)}", token
            )
        self._advance()
        arguments: list[Node] = []
        if self._token.text != ")":
            arguments.append(self._chain(0))
            while self._token.text == ",":
                self._advance()
                arguments.append(self._chain(0))
        self._expect(")")
        fewest, most = ARITIES[name]
        if not fewest <= len(arguments) <= most:
            wanted = str(fewest) if fewest == most else f"{fewest} to {most}"
            raise self._refused(
                f"{name} takes {wanted} argument{'s' if most != 1 else ''}, not {len(arguments)}", token
            )
        return Call(name, tuple(arguments), token.offset)

    def _expect(self, text: str) -> None:
        if self._token.text != text:
            raise self._refused(f"expected {text!r}, not {self._token}")
        self._advance()

    def _advance(self) -> Token:
        """Step over the token at hand, and return it."""
        token = self._token
        self._token = self._scanner.next()
        return token

    def _advance_to_next(self) -> Token:
        self._advance()
        return self._token

    def _refused(self, reason: str, token: Token | None = None) -> BadExpression:
        return self._scanner.refused(reason, (token or self._token).offset)
