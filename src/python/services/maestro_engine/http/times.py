"""Times in the query of a request."""

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, AwareDatetime, BeforeValidator

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt]")


def _as_text(value: object) -> object:
    """A number would be taken for seconds since 1970, which the contract does not say."""
    if isinstance(value, str) and not _DATE.match(value):
        raise ValueError("a date and a time as of RFC 3339 were expected, 2026-11-21T12:00:00Z for one")
    return value


def _in_utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError as error:
        raise ValueError("is no time that a calendar of UTC has") from error


When = Annotated[AwareDatetime, BeforeValidator(_as_text), AfterValidator(_in_utc)]
"""A time as of RFC 3339, in UTC."""
