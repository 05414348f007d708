"""The text of an error as it may be shown: one line, bounded, without what looks like a secret."""

import re
from typing import Final

MAX_REASON_CHARS: Final = 300

_MASK = "***"
_NAMES = (
    r"pass(?:word|wd|phrase)?|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|credentials?|signature|sig"
)
_SECRETS = (
    # scheme://user:password@host, and a password that itself holds an @
    (re.compile(r"(?P<kept>[a-z][a-z0-9+.-]*://)[^\s/?#]*@", re.IGNORECASE), rf"\g<kept>{_MASK}@"),
    (re.compile(r"(?P<kept>\b(?:bearer|basic|digest)\s+)[^\s,;\"']+", re.IGNORECASE), rf"\g<kept>{_MASK}"),
    (
        re.compile(
            rf"(?P<kept>[\w-]*(?:{_NAMES}|authorization|cookie)[\w-]*[\"']?\s*[=:]\s*)"
            rf"(?:\"[^\"]*\"?|'[^']*'?|(?!{re.escape(_MASK)}|(?:bearer|basic|digest)\s)[^\s,;&]+)",
            re.IGNORECASE,
        ),
        rf"\g<kept>{_MASK}",
    ),
    # JSON Web Tokens, and long runs that are no words: keys, hashes, tokens
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.?[\w-]*"), _MASK),
    (re.compile(r"\b(?=\w*\d)(?=\w*[A-Za-z])[A-Za-z0-9_]{32,}={0,2}"), _MASK),
)


def reason_of(error: BaseException) -> str:
    """The type of the error and its cleaned text."""
    try:
        text = str(error)
    except Exception as broken:  # an error whose text cannot be had still has a type, and so has that failure
        text = f"(its text raised {type(broken).__name__})"
    cleaned = clean_reason(text)
    return f"{type(error).__name__}: {cleaned}" if cleaned else type(error).__name__


def clean_reason(text: str) -> str:
    """One printable line of at most 300 characters, with the values of secrets masked."""
    line = " ".join(text[: 4 * MAX_REASON_CHARS].split())
    line = "".join(char if char.isprintable() else "_" for char in line)
    for pattern, replacement in _SECRETS:
        line = pattern.sub(replacement, line)
    return line if len(line) <= MAX_REASON_CHARS else line[: MAX_REASON_CHARS - 1] + "…"
