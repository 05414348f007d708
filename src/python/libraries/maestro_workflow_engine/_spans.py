"""Spans of time as a person says them."""

from typing import Final

_UNITS: Final = (("days", 86_400.0), ("hours", 3_600.0), ("minutes", 60.0))


def span(seconds: float) -> str:
    """A span in the unit that suits it: `90 s`, `2.5 minutes`, `36 hours`, `3 days`."""
    for unit, size in _UNITS:
        if seconds >= 2 * size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds:.3g} s"
