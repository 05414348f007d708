"""Text that came from a tool, made fit to show: no secret in it, and never more than a bound."""

from collections.abc import Iterable, Mapping
from typing import Any

_SHORTEST_SECRET = 4
_MASK = "***"


class Masker:
    """Replaces secret values in text by `***`; values under four characters are too common to hide."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        usable = {secret for secret in secrets if len(secret) >= _SHORTEST_SECRET}
        # The longest first: a secret that contains another must not leave its other half behind.
        self._secrets = sorted(usable, key=lambda secret: (-len(secret), secret))

    @property
    def longest(self) -> int:
        """Length of the longest secret, in characters; 0 when there is none."""
        return len(self._secrets[0]) if self._secrets else 0

    def mask(self, text: str) -> str:
        """The text without any of the secrets."""
        for secret in self._secrets:
            text = text.replace(secret, _MASK)
        return text

    def mask_all(self, value: Any) -> Any:
        """Nested data with every string masked; keys stay."""
        if isinstance(value, str):
            return self.mask(value)
        if isinstance(value, Mapping):
            return {key: self.mask_all(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.mask_all(item) for item in value]
        return value

    def excerpt(self, text: str, limit: int = 2000) -> str:
        """The text masked, trimmed, and cut to `limit` characters."""
        masked = self.mask(text).strip()
        return masked if len(masked) <= limit else f"{masked[:limit]}…"


class Tail:
    """The last bytes of a stream, for an error message; memory stays bounded whatever is fed."""

    def __init__(self, masker: Masker, limit_bytes: int = 8192) -> None:
        self._masker = masker
        # A secret that straddles the cut could not be recognised, so as much more is kept, and dropped after masking.
        self._margin = masker.longest * 4
        self._limit = limit_bytes + self._margin
        self._kept = bytearray()
        self._cut = False

    def feed(self, data: bytes) -> None:
        """Take more of the stream."""
        self._kept += data[-self._limit :]
        if len(data) > self._limit or len(self._kept) > self._limit:
            self._cut = True
            del self._kept[: -self._limit]

    def text(self) -> str:
        """What is kept, masked; it begins with `…` when something before it was dropped."""
        masked = self._masker.mask(self._kept.decode("utf-8", errors="replace"))
        if not self._cut:
            return masked.strip()
        return "…" + masked[self._masker.longest :].strip()
