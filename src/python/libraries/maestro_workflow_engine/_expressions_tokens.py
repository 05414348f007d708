"""Splits the text of one expression into tokens."""

import math
import re
from typing import NamedTuple

from maestro_workflow_engine._errors import BadExpression
from maestro_workflow_engine._json import JSON, MAX_INTEGER

MAX_EXPRESSION_CHARS = 4096
_EXCERPT_CHARS = 60

_TOKEN = re.compile(
    r"""[ \t\r\n]*(?:
        (?P<name>[A-Za-z_][A-Za-z0-9_]*)
      | (?P<end>\}\})
      | (?P<operator>==|!=|<=|>=|&&|\|\||[-<>!+*/%()\[\].,])
      | (?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)
      | (?P<string>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
      | (?P<nothing>)
    )""",
    re.DOTALL | re.VERBOSE,
)
_STEP_NAME = re.compile(r"[ \t\r\n]*([A-Za-z_][A-Za-z0-9_-]*)")
_WORD = re.compile(r"[A-Za-z0-9_]")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "\\": "\\", "'": "'", '"': '"', "/": "/"}
_HINTS = {
    "=": "compare with '=='",
    "&": "write '&&'",
    "|": "write '||'",
    "}": "end the expression with '}}'",
    "?": "write 'condition && a || b'",
}


class Token(NamedTuple):
    """A number, string, name, operator or end; `offset` counts from the start of the text that holds the expression."""

    kind: str
    text: str
    value: JSON
    offset: int

    def __str__(self) -> str:
        return "the end" if self.kind == "end" else repr(self.text)


class Scanner:
    """Reads tokens one at a time from the text behind a `${{`, up to its `}}`."""

    def __init__(self, text: str, start: int) -> None:
        self._text = text
        self._start = start
        self._at = start

    def next(self) -> Token:
        """The next token; what follows the closing `}}` is not looked at."""
        match = _TOKEN.match(self._text, self._at)
        kind = match.lastgroup  # type: ignore[union-attr]  # the pattern matches everywhere, by its last branch
        at, self._at = match.span(kind)  # type: ignore[union-attr, arg-type]  # as above
        if self._at - self._start > MAX_EXPRESSION_CHARS:
            raise self.refused(
                f"the expression is longer than {MAX_EXPRESSION_CHARS} characters: split it", self._start
            )
        text = self._text[at : self._at]
        if kind in ("name", "operator", "end"):
            return Token(kind, text, None, at)
        if kind == "number":
            return Token(kind, text, self._number(text, at), at)
        if kind == "string":
            return Token(kind, text, self._string(text, at), at)
        raise self._unreadable(at)

    def next_step_name(self) -> Token:
        """The next token, read as the id of a step, which may hold hyphens."""
        match = _STEP_NAME.match(self._text, self._at)
        if match is None:
            return self.next()
        self._at = match.end()
        return Token("name", match.group(1), None, match.start(1))

    def _unreadable(self, at: int) -> BadExpression:
        if at >= len(self._text):
            return self.refused("the expression has no closing '}}'", at)
        character = self._text[at]
        if character in "'\"":
            return self.refused("the string that begins here is not closed", at)
        return self.refused(f"found {character!r}: {_HINTS.get(character, 'it has no meaning in an expression')}", at)

    def _number(self, text: str, at: int) -> int | float:
        if _WORD.match(self._text, self._at):
            raise self.refused(f"the number {text} runs into a name: put a space or an operator in between", at)
        number = int(text) if text.isdecimal() else float(text)
        if not number <= MAX_INTEGER and not (isinstance(number, float) and math.isfinite(number)):
            raise self.refused("the number is too large", at)
        return number

    def _string(self, quoted: str, at: int) -> str:
        body = quoted[1:-1]
        if "\\" not in body:
            return body

        def unescaped(match: re.Match[str]) -> str:
            escape = match.group(1)
            if escape in _ESCAPED:
                return _ESCAPED[escape]
            if len(escape) == 5:
                return chr(int(escape[1:], 16))
            raise self.refused(f"'\\{escape}' is not an escape: write '\\\\' for a backslash", at + 1 + match.start())

        plain = _ESCAPE.sub(unescaped, body)
        try:
            return plain.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise self.refused("the string holds half of a surrogate pair", at) from None

    def refused(self, reason: str, at: int) -> BadExpression:
        """The error for what stands at an offset, showing the place."""
        return BadExpression(f"{reason} {shown_place(self._text, self._start, at)}", offset=at)


def shown_place(text: str, start: int, at: int) -> str:
    """Where in an expression something is, for the end of a message: an excerpt with a mark in front of the place."""
    end = text.find("}}", max(at, start))
    end = len(text) if end < 0 else end + 2
    first = max(start, at - _EXCERPT_CHARS)
    last = min(end, at + _EXCERPT_CHARS)
    before = " ".join(text[first:at].split("\n"))
    after = " ".join(text[at:last].split("\n"))
    head = "${{" if first == start else "…"
    tail = "" if last == end else "…"
    return f"(at ▸ in {head}{before}▸{after}{tail})"
