"""How long a server asks to be left alone."""

from __future__ import annotations


def retry_after_s(header: str | None) -> float | None:
    """Seconds of a Retry-After header; None for its date form, which needs a clock we do not trust."""
    if header is None or not header.strip().isascii() or not header.strip().isdigit():
        return None
    return min(float(header), 24 * 3600.0)
