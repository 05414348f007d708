"""Text that cannot do harm where it is printed."""

import json
import re

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_LINE = str.maketrans({"\n": "\\n", "\r": "\\r", "\t": "\\t"})


def neutral(text: str) -> str:
    """Text without terminal commands and without characters that hide or turn others; they become visible escapes."""
    return _CONTROL.sub(_escaped, text)


def one_line(text: str) -> str:
    """Neutral text on one line, for a console."""
    return text.translate(_LINE)


def in_json(text: str) -> str:
    """Text as it stands between the quotes of our JSON, which is pure ASCII."""
    return json.dumps(text)[1:-1]


def _escaped(match: re.Match[str]) -> str:
    code = ord(match[0])
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}"
