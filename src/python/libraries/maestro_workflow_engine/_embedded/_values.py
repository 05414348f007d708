"""How values stand in the rows of the journal."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

Statement: TypeAlias = tuple[str, Sequence[Any]]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

NO_SENSE: Final = (ValueError, LookupError, TypeError, AttributeError, OverflowError)
"""What stumbles over rows that no journal writes: they are damage."""

encode: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def microseconds(at: datetime) -> int:
    """A time as the journal stores it."""
    return (at - _EPOCH) // _MICROSECOND


def from_microseconds(number: int) -> datetime:
    """The time that the journal stores as this number."""
    return _EPOCH + timedelta(microseconds=number)
