"""The law of refresh tokens, pure: what presenting one does to its family. Stores call it inside one transaction."""

import hmac
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import Enum

from maestro_core_auth._records import Family

REUSED = "a spent refresh token was presented"


class Outcome(Enum):
    """What presenting a refresh token came to."""

    ROTATED = "rotated"
    UNKNOWN = "unknown"  # No such family, or never a token of it: a guess changes nothing.
    REVOKED = "revoked"
    EXPIRED = "expired"
    REUSED = "reused"
    SUPERSEDED = "superseded"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A refresh token presented at `now`, and the one that shall follow it."""

    family_id: str
    presented: bytes
    successor: bytes
    token_expires_at: datetime
    now: datetime
    grace_s: float


def decide_exchange(family: Family, exchange: Exchange, *, spent: bool) -> tuple[Outcome, Family]:
    """The outcome, and the family as it is to be stored; `spent` says that the token was once one of its own."""
    current = hmac.compare_digest(exchange.presented, family.digest)
    if not current and not spent:
        return Outcome.UNKNOWN, family
    if family.revoked_at is not None:
        return Outcome.REVOKED, family
    if not current:
        if exchange.presented == family.previous_digest and _within_grace(family, exchange):
            return Outcome.SUPERSEDED, family
        return Outcome.REUSED, replace(family, revoked_at=exchange.now, revoked_because=REUSED)
    if exchange.now >= min(family.token_expires_at, family.expires_at):
        return Outcome.EXPIRED, family
    return Outcome.ROTATED, replace(
        family,
        digest=exchange.successor,
        previous_digest=family.digest,
        rotated_at=exchange.now,
        token_expires_at=min(exchange.token_expires_at, family.expires_at),
    )


def _within_grace(family: Family, exchange: Exchange) -> bool:
    # Whoever lost the race may have looked at the clock before the winner did.
    grace = timedelta(seconds=exchange.grace_s)
    return family.rotated_at is not None and abs(exchange.now - family.rotated_at) < grace
