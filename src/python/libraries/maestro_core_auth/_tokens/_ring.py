"""The law of key rotation, pure: which key signs at a time, and which are published."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import zip_longest
from typing import Literal

from maestro_core_auth._records import SigningKeyRecord


@dataclass(frozen=True, slots=True)
class RingKey:
    """A key with its state: `next` is published and signs later, `active` signs, `retired` still verifies."""

    record: SigningKeyRecord
    state: Literal["next", "active", "retired"]


def ring(records: Iterable[SigningKeyRecord], now: datetime, verify_for: timedelta) -> list[RingKey]:
    """The keys to publish, oldest first; those that retired longer than `verify_for` ago are left out.

    A key signs from its activation until that of the next, so rotation writes a new key and changes no old one.
    """
    ordered = sorted(records, key=lambda record: (record.activates_at, record.kid))
    found = []
    for record, successor in zip_longest(ordered, ordered[1:]):
        if now < record.activates_at:
            found.append(RingKey(record, "next"))
        elif successor is None or now < successor.activates_at:
            found.append(RingKey(record, "active"))
        elif now < successor.activates_at + verify_for:
            found.append(RingKey(record, "retired"))
    return found
