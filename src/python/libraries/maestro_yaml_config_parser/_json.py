"""Reads JSON with positions: what is strict JSON means what JSON says, also where YAML would read it differently."""

import re
from json import JSONDecodeError, decoder

from maestro_yaml_config_parser._build import Builder
from maestro_yaml_config_parser._errors import BadSyntax, BadValue
from maestro_yaml_config_parser._scalars import finite_float, integer

_SPACE = re.compile(r"[ \t\n\r]+")
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)")
_FRACTION = re.compile(r"(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?")
_CONSTANTS: dict[str, bool | None] = {"true": True, "false": False, "null": None}
_CONSTANT = re.compile(r"true|false|null")


class JsonReader:
    """Reads the one JSON document of a text into a builder; BadSyntax says that it is not JSON."""

    def __init__(self, text: str, builder: Builder, file: str | None) -> None:
        self._text = text
        self._builder = builder
        self._file = file
        self._at = 0
        self._line = 1
        self._line_start = 0

    def read(self) -> None:
        """Read all of the text."""
        closers: list[str] = []
        while True:
            self._skip_space()
            opened = self._value()
            if opened:
                closers.append(opened)
                self._skip_space()
                if not self._taken(opened):
                    self._key_if_wanted()
                    continue
                closers.pop()
                self._builder.close()
            if self._ended(closers):
                return

    def _ended(self, closers: list[str]) -> bool:
        """Step over what follows a value; whether the document is over."""
        while closers:
            self._skip_space()
            if self._taken(","):
                self._skip_space()
                self._key_if_wanted()
                return False
            if not self._taken(closers[-1]):
                raise self._refused(f"expected ',' or '{closers[-1]}'")
            closers.pop()
            self._builder.close()
        self._skip_space()
        if self._at < len(self._text):
            raise self._refused("expected nothing more after the value")
        return True

    def _value(self) -> str:
        """Take one value; for a mapping or list only its opening, and then the closing that belongs to it."""
        text, at = self._text, self._at
        line, column = self._line, at - self._line_start + 1
        first = text[at : at + 1]
        if first == "{":
            self._builder.open({}, line, column)
            self._at += 1
            return "}"
        if first == "[":
            self._builder.open([], line, column)
            self._at += 1
            return "]"
        if first == '"':
            self._builder.value(self._string(), line, column)
        elif match := _INTEGER.match(text, at):
            self._builder.value(self._number(match), line, column)
        elif match := _CONSTANT.match(text, at):
            self._at = match.end()
            self._builder.value(_CONSTANTS[match.group()], line, column)
        else:
            raise self._refused("expected a value")
        return ""

    def _key_if_wanted(self) -> None:
        if not self._builder.wants_key:
            return
        if not self._text.startswith('"', self._at):
            raise self._refused("expected a key in double quotes")
        line, column = self._line, self._at - self._line_start + 1
        self._builder.key(self._string(), line, column)
        self._skip_space()
        if not self._taken(":"):
            raise self._refused("expected ':' behind the key")

    def _string(self) -> str:
        line, column = self._line, self._at - self._line_start + 1
        string: str
        try:
            string, self._at = decoder.scanstring(self._text, self._at + 1, True)  # type: ignore[attr-defined]  # untyped
        except JSONDecodeError as error:
            self._at = min(error.pos, len(self._text))
            raise self._refused("the string cannot be read here: close it, and escape control characters") from None
        try:
            string.encode("utf-8")
        except UnicodeEncodeError:
            reason = "the string holds half of a surrogate pair, which is not valid text: correct its \\u escapes"
            raise BadValue(reason, file=self._file, line=line, column=column) from None
        return string

    def _number(self, match: re.Match[str]) -> int | float:
        line, column = self._line, self._at - self._line_start + 1
        end = _FRACTION.match(self._text, match.end()).end()  # type: ignore[union-attr]  # matches the empty string too
        self._at = end
        try:
            if end == match.end():
                return integer(match.group())
            return finite_float(self._text[match.start() : end])
        except ValueError as error:
            raise BadValue(str(error), file=self._file, line=line, column=column) from None

    def _taken(self, character: str) -> bool:
        if self._text.startswith(character, self._at):
            self._at += 1
            return True
        return False

    def _skip_space(self) -> None:
        if match := _SPACE.match(self._text, self._at):
            start, self._at = match.span()
            if breaks := self._text.count("\n", start, self._at):
                self._line += breaks
                self._line_start = self._text.rfind("\n", start, self._at) + 1

    def _refused(self, reason: str) -> BadSyntax:
        at = self._at
        found = f"not {self._text[at]!r}" if at < len(self._text) else "but the text ends"
        return BadSyntax(
            f"this is not JSON: {reason}, {found}", file=self._file, line=self._line, column=at - self._line_start + 1
        )
