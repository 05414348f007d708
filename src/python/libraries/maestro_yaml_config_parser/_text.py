"""From bytes to text that YAML can be read from."""

import codecs
import re

from maestro_yaml_config_parser._errors import BadSyntax, TooLarge, Unreadable
from maestro_yaml_config_parser._limits import Limits

_BREAK = re.compile(r"\r\n|\n|\r")
_REFUSED = re.compile("[^\t\n\r\x20-\x7e\xa0-\u2027\u202a-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]")
_SAVE_AS = "save it as UTF-8 without a byte order mark"
_MARKS = (
    (codecs.BOM_UTF8, "UTF-8 with a byte order mark"),
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


def decoded(source: str | bytes, limits: Limits, file: str | None) -> str:
    """The text of a document, of at most `max_bytes` and without a byte order mark."""
    if isinstance(source, str):
        return _checked_text(source, limits, file)
    _check_size(len(source), limits, file)
    for mark, name in _MARKS:
        if source.startswith(mark):
            raise Unreadable(f"the file is saved as {name}: {_SAVE_AS}", file=file, line=1, column=1)
    try:
        return source.decode("utf-8")
    except UnicodeDecodeError as error:
        before = source[: error.start].decode("utf-8")
        line, column = place_of(before, len(before))
        reason = f"the file is not UTF-8: the byte 0x{source[error.start]:02X} belongs to no character; {_SAVE_AS}"
        raise Unreadable(reason, file=file, line=line, column=column) from None


def _checked_text(text: str, limits: Limits, file: str | None) -> str:
    _check_size(len(text), limits, file)
    if text.startswith("\ufeff"):
        raise Unreadable(f"the text begins with a byte order mark: {_SAVE_AS}", file=file, line=1, column=1)
    try:
        size_bytes = len(text) if text.isascii() else len(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        line, column = place_of(text, error.start)
        reason = "the text holds half of a surrogate pair, which is not valid text: remove it"
        raise Unreadable(reason, file=file, line=line, column=column) from None
    _check_size(size_bytes, limits, file)
    return text


def _check_size(size_bytes: int, limits: Limits, file: str | None) -> None:
    if size_bytes > limits.max_bytes:
        raise TooLarge(f"the document is too large: it has more than {limits.max_bytes:,} bytes", file=file)


def check_characters(text: str, file: str | None) -> None:
    """Refuse control characters and line breaks that no editor shows; raises BadSyntax."""
    if match := _REFUSED.search(text):
        line, column = place_of(text, match.start())
        code = ord(match.group())
        reason = (
            f"the character U+{code:04X} cannot stand here: remove it, or write it as an escape "
            f'in double quotes, "\\u{code:04x}"'
        )
        raise BadSyntax(reason, file=file, line=line, column=column)


def place_of(text: str, offset: int) -> tuple[int, int]:
    """Line and column of an offset, both from 1."""
    line, start = 1, 0
    for match in _BREAK.finditer(text, 0, offset):
        line, start = line + 1, match.end()
    return line, offset - start + 1
