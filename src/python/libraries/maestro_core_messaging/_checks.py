"""Checks of names and numbers that callers give."""

import math
import re

from maestro_core_messaging._errors import InvalidSetting

MAX_SECONDS = 1e9
"""About 31 years: more is a mistake."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")


def check_name(what: str, value: str) -> str:
    """A topic's or group's name: 1 to 128 letters, digits and ._:/- beginning with a letter or digit."""
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise InvalidSetting(
            f"{what} must be 1 to 128 letters, digits and ._:/- beginning with a letter or digit, not {value!r:.80}"
        )
    return value


def check_seconds(what: str, value: float, *, zero: bool = False) -> float:
    """A finite span of time, above zero unless `zero` allows it."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not (0 <= value <= MAX_SECONDS) or (value == 0 and not zero):
        raise InvalidSetting(f"{what} must be a number of seconds {'from' if zero else 'above'} 0, not {value!r:.80}")
    return float(value)


def check_count(what: str, value: int) -> int:
    """A whole number from 1."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise InvalidSetting(f"{what} must be a whole number from 1, not {value!r:.80}")
    return value
