"""Secret values known at run time, masked wherever their text turns up."""

import json
import threading
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

from maestro_core_logging._errors import TooManySecrets, UnusableSecret
from maestro_core_logging._text import in_json, neutral, one_line

MASK = "[redacted]"
"""What stands in place of a secret."""

MIN_SECRET_CHARS = 8
MAX_SECRET_CHARS = 4096
MAX_SECRETS = 1000


class KnownSecrets:
    """A bounded set of secret values; safe to use from several threads, and cheap to read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forms: dict[str, tuple[frozenset[str], frozenset[str]]] = {}
        self._needles: tuple[str, ...] = ()
        self._line_needles: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"KnownSecrets({len(self._forms)} values)"

    @property
    def longest(self) -> int:
        """The length of the longest text that is looked for."""
        return len(self._needles[0]) if self._needles else 0

    def add(self, value: str) -> None:
        """Mask this value from now on; raises UnusableSecret or TooManySecrets."""
        if not MIN_SECRET_CHARS <= len(value) <= MAX_SECRET_CHARS:
            raise UnusableSecret(
                f"a value of {len(value)} characters cannot be masked by its text; "
                f"between {MIN_SECRET_CHARS} and {MAX_SECRET_CHARS} are needed"
            )
        with self._lock:
            if value not in self._forms and len(self._forms) >= MAX_SECRETS:
                raise TooManySecrets(f"{MAX_SECRETS} values are registered; forget those that are no longer valid")
            if value not in self._forms:
                forms = frozenset(_forms(value))
                in_lines = forms.union(write(neutral(form)) for form in forms for write in (in_json, one_line))
                self._forms[value] = forms, in_lines
                self._rebuild()

    def discard(self, value: str) -> None:
        """Stop masking this value; nothing happens when it is not known."""
        with self._lock:
            if self._forms.pop(value, None) is not None:
                self._rebuild()

    def mask(self, text: str) -> str:
        """The text with every known value in it masked, in any of the forms in which it may be written."""
        for needle in self._needles:
            if needle in text:
                text = text.replace(needle, MASK)
        return text

    def found_in(self, line: str) -> bool:
        """Whether a rendered line still shows a known value."""
        return any(needle in line for needle in self._line_needles)

    def _rebuild(self) -> None:
        needles = {form for forms, _ in self._forms.values() for form in forms}
        self._needles = tuple(sorted(needles, key=len, reverse=True))
        self._line_needles = tuple({form for _, in_lines in self._forms.values() for form in in_lines})


def _forms(value: str) -> Iterator[str]:
    """The value as it may be written: plain, in a repr, in JSON, in a URL, and each line of it that is long enough."""
    for text in (value, *(line for line in value.splitlines() if len(line) >= MIN_SECRET_CHARS)):
        escaped = "".join(char if char.isprintable() and char != "\\" else repr(char)[1:-1] for char in text)
        yield text
        yield escaped
        yield escaped.replace("'", "\\'")
        yield repr(text.encode("utf-8", "replace"))[2:-1]
        yield in_json(text)
        yield json.dumps(text, ensure_ascii=False)[1:-1]
        yield quote(text, safe="", errors="replace")
        yield quote(text, errors="replace")
        yield quote_plus(text, errors="replace")


known_secrets = KnownSecrets()


def register_secret(value: str) -> None:
    """Mask this exact value in every record from now on, of every logger, until forget_secret().

    Raises UnusableSecret for a value that is too short or too long, TooManySecrets when the list is full.
    """
    known_secrets.add(value)


def forget_secret(value: str) -> None:
    """Stop masking a value that was registered; nothing happens when it was not."""
    known_secrets.discard(value)
