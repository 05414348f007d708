"""Takes out of a history what shall not leave the house."""

import re
from collections.abc import Collection
from typing import Final

from maestro_workflow_engine._dataclasses import dataclass
from maestro_workflow_engine._json import JSON

REDACTED: Final = "[redacted]"
SECRET_KEYS: Final = (
    "api_key", "authorization", "cookie", "passphrase", "password", "passwd", "private_key", "secret", "token",
)  # fmt: skip
_SEPARATORS: Final = re.compile(r"[-_. ]")


@dataclass(frozen=True, slots=True)
class Redaction:
    """What is replaced by `[redacted]`: values under keys that hold one of `keys`, and every text in `values`.

    Upper and lower case, `-`, `_` and `.` make no difference in keys.
    """

    keys: Collection[str] = SECRET_KEYS
    values: Collection[str] = ()

    def of(self, value: JSON) -> JSON:
        """The value without what is to be taken out."""
        if isinstance(value, str):
            return self.of_text(value)
        if isinstance(value, list):
            return [self.of(each) for each in value]
        if isinstance(value, dict):
            return {
                self.of_text(key): REDACTED if each is not None and self._names_a_secret(key) else self.of(each)
                for key, each in value.items()
            }
        return value

    def of_text(self, text: str) -> str:
        """The text without the values that are to be taken out."""
        for value in self.values:
            if value:
                text = text.replace(value, REDACTED)
        return text

    def _names_a_secret(self, key: str) -> bool:
        name = _SEPARATORS.sub("", key).lower()
        return any(_SEPARATORS.sub("", wanted).lower() in name for wanted in self.keys)
