"""Reads YAML with positions, from the events of PyYAML: libyaml where it is there, and pure Python otherwise.

The two differ in a few corners (tabs, text over several lines inside brackets). What they do not agree on is refused in
both, so that a document means the same everywhere.
"""

import re
from typing import Any

import yaml

from maestro_yaml_config_parser._build import Builder
from maestro_yaml_config_parser._errors import BadSyntax, BadValue, NotSupported
from maestro_yaml_config_parser._scalars import plain_value
from maestro_yaml_config_parser._tabs import TABS_NEED_QUOTES, misplaced_tab
from maestro_yaml_config_parser._text import place_of

PURE_LOADER: Any = yaml.SafeLoader
FAST_LOADER: Any = getattr(yaml, "CSafeLoader", PURE_LOADER)

_PLAIN = ("", None)
_BLOCK = ("|", ">")
_BLOCK_INDICATOR = re.compile(r"[|>]")
_BLOCK_HEADER = re.compile(r"[|>][+-]?([1-9]?)[+-]?(?:[ \t]+#[^\r\n]*|[ \t]*)(?=[\r\n]|\Z)")
_DIRECTIVE = re.compile(r"(?:\A|[\r\n])%")
_NO_DIRECTIVES = "directives are not supported: remove the line that begins with '%'"
_ADVICE = (
    ("directive", _NO_DIRECTIVES),
    ("mapping values are not allowed", "no ':' belongs here: quote a text that holds ': ', or correct the indentation"),
    ("could not find expected ':'", "a ':' is missing behind the key: add it, or put the text into quotes"),
    ("found unexpected ':'", "put a space behind the ':', or put the text into quotes"),
    ("unexpected end of stream", "a quote is not closed: close it"),
    ("Unicode character escape", "this escape names no character: correct it"),
    ("expected escape sequence", "this escape is not complete: correct it"),
    ("unknown escape character", "this escape is not known: write '\\\\' for a backslash, or use single quotes"),
    ("expected ',' or", "a ',' or the closing bracket is missing: add it"),
    ("expected <block end>", "this line does not fit to those before: correct its indentation or its quotes"),
    ("did not find expected key", "this line does not fit to those before: correct its indentation or its quotes"),
    ("did not find expected '-'", "this line does not fit to those before: correct its indentation or its quotes"),
    ("sequence entries are not allowed", "no '- ' belongs here: begin the list on a line of its own, or quote a '-'"),
    ("cannot start any token", "put a text that begins with this character into quotes"),
)


class YamlReader:
    """Reads the one YAML document of a text into a builder."""

    def __init__(self, text: str, builder: Builder, file: str | None) -> None:
        self._text = text
        self._builder = builder
        self._file = file
        self._flow: list[bool] = []
        self._has_tabs = "\t" in text
        self._quoted: list[tuple[int, int]] = []

    def read(self, loader: Any = FAST_LOADER) -> None:
        """Read all of the text."""
        documents = 0
        try:
            # PyYAML's generator ends its loader when it is closed, which is at once when nobody holds it any more.
            for event in yaml.parse(self._text, Loader=loader):
                if isinstance(event, yaml.DocumentStartEvent):
                    documents += 1
                    self._start(event, documents)
                else:
                    self._take(event)
        except yaml.YAMLError as error:
            raise self._translated(error) from None
        except (ValueError, OverflowError):
            raise BadSyntax("an escape in double quotes names no character: correct it", file=self._file) from None
        if not documents:
            raise self._empty()
        if self._has_tabs and (at := misplaced_tab(self._text, self._quoted)) is not None:
            line, column = place_of(self._text, at)
            raise BadSyntax(TABS_NEED_QUOTES, file=self._file, line=line, column=column)

    def _start(self, event: Any, number: int) -> None:
        if number > 1:
            raise self._refused(
                event, "there are several documents: keep one, and remove the line '---' before the others"
            )
        if _DIRECTIVE.search(self._text, 0, event.end_mark.index):
            raise self._refused(event, _NO_DIRECTIVES)

    def _take(self, event: Any) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.CollectionStartEvent):
            self._refuse_tag(event)
            line, column = _place(event)
            if self._builder.wants_key:
                raise self._refused(event, "a key is a string, not a mapping or list: write it in quotes", BadValue)
            self._flow.append(bool(event.flow_style))
            self._builder.open({} if isinstance(event, yaml.MappingStartEvent) else [], line, column, event.anchor)
        elif isinstance(event, yaml.CollectionEndEvent):
            self._flow.pop()
            self._builder.close()
        elif isinstance(event, yaml.AliasEvent):
            if self._builder.wants_key:
                raise self._refused(event, "an alias cannot be a key: write the key out")
            self._builder.alias(str(event.anchor), *_place(event))

    def _scalar(self, event: Any) -> None:
        self._refuse_tag(event)
        line, column = _place(event)
        builder = self._builder
        value: object = event.value
        if event.style in _PLAIN:
            self._check_plain(event)
            try:
                value = plain_value(event.value)
            except ValueError as error:
                raise self._refused(event, str(error), BadValue) from None
        else:
            self._check_quoted(event)
        if not builder.wants_key:
            if value is None and event.start_mark.index == event.end_mark.index:
                if not self._flow:
                    raise self._empty()
                builder.empty(line, column)
            else:
                builder.value(value, line, column, event.anchor)
            return
        if event.anchor is not None:
            raise self._refused(event, "an anchor cannot stand at a key: put it before a value")
        if value == "<<" and event.style in _PLAIN:
            raise self._refused(
                event, "merge keys are not supported: write the keys out, or quote '<<' if it is a name"
            )
        builder.key(value, line, column)

    def _check_plain(self, event: Any) -> None:
        start, end = event.start_mark, event.end_mark
        if self._has_tabs and "\t" in event.value:
            raise self._refused(event, TABS_NEED_QUOTES, BadSyntax)
        if self._flow and self._flow[-1]:
            if "?" in event.value:
                raise self._refused(event, "inside [ ] and { }, put text that holds a '?' into quotes", BadSyntax)
            if start.line != end.line and event.value:
                reason = "inside [ ] and { }, unquoted text ends with its line: put it into quotes"
                raise self._refused(event, reason, BadSyntax)
            if self._text[end.index : end.index + 1] == ":" and self._text[end.index + 1 : end.index + 2] in "[]{},":
                raise self._refused(event, "put a space behind the ':', or put the text into quotes", BadSyntax)

    def _check_quoted(self, event: Any) -> None:
        try:
            event.value.encode("utf-8")
        except UnicodeEncodeError:
            reason = "the string holds half of a surrogate pair: write \\UXXXXXXXX for a character beyond \\uFFFF"
            raise self._refused(event, reason, BadValue) from None
        if event.style in _BLOCK:
            self._check_block(event)
        elif self._has_tabs:
            opening = self._text.index(event.style, event.start_mark.index)  # an anchor may stand before it
            self._quoted.append((opening, event.end_mark.index))

    def _check_block(self, event: Any) -> None:
        indicator = _BLOCK_INDICATOR.search(self._text, event.start_mark.index)
        header = _BLOCK_HEADER.match(self._text, indicator.start()) if indicator else None
        if header is None:
            reason = "behind '|' or '>' there may be '+', '-' and a digit, and then a space before a comment"
            raise self._refused(event, reason, BadSyntax)
        if not self._has_tabs:
            return
        if event.value.lstrip("\n")[:1] == "\t" and not header.group(1):
            reason = "the first line of a block begins with a tab: say how deep the block is indented, as in '|2'"
            raise self._refused(event, reason, BadSyntax)
        self._quoted.append((header.end(), event.end_mark.index))

    def _refuse_tag(self, event: Any) -> None:
        if event.tag is not None:
            shown = event.tag.replace("tag:yaml.org,2002:", "!!")[:60]
            raise self._refused(event, f"the tag {shown} is not supported: remove it, and put text into quotes")

    def _refused(
        self, event: Any, reason: str, error: type[BadSyntax | BadValue | NotSupported] = NotSupported
    ) -> Exception:
        line, column = _place(event)
        return error(reason, file=self._file, line=line, column=column)

    def _empty(self) -> BadSyntax:
        return BadSyntax("the document is empty: write at least one value", file=self._file, line=1, column=1)

    def _translated(self, error: yaml.YAMLError) -> BadSyntax:
        problem = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read")
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        if mark is None:
            return BadSyntax(f"this is not YAML: {problem}", file=self._file)
        if self._text[mark.index : mark.index + 1] == "\t":
            problem = TABS_NEED_QUOTES
        for sign, advice in _ADVICE:
            if sign in problem:
                problem = advice
                break
        return BadSyntax(f"this is not YAML: {problem}", file=self._file, line=mark.line + 1, column=mark.column + 1)


def _place(event: Any) -> tuple[int, int]:
    return event.start_mark.line + 1, event.start_mark.column + 1
