"""The law of leases: who may have one, who has it still, and until when; pure, with the clock passed in.

Clocks are monotonic and each process has its own: no decision ever compares the clocks of two machines, and no wall
clock decides anything. A holder counts from before it asked, the registry from after it granted, so the holder stops
first.
"""

import hmac
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from maestro_service_registry._errors import LeaseHeld, LeaseLost

MAX_DRIFT: Final = 0.05
"""How far a clock may run fast or slow against true time; beyond it only fencing tokens keep late holders out."""

_HOLDERS_PART: Final = 0.9
"""A holder on a clock that is 5% slow has used 0.9 / 0.95 = 0.947 of the time when a registry that is 5% fast has used
0.952: the holder ends first."""


@dataclass(frozen=True, slots=True)
class Held:
    """A lease as the registry remembers it; `until_s` is on the registry's monotonic clock."""

    token: int
    key_hash: bytes
    until_s: float


def hash_of(key: str) -> bytes:
    """What the registry stores of a key: it is random and long, so one round of SHA-256 is enough."""
    return sha256(key.encode()).digest()


def is_live(held: Held, now_s: float) -> bool:
    """Whether the registry still keeps everyone else out."""
    return now_s < held.until_s


def is_holder(held: Held | None, key_hash: bytes, now_s: float) -> bool:
    """Whether the caller has the lease: registering again then keeps the token, so that a lost answer does no harm."""
    return held is not None and is_live(held, now_s) and hmac.compare_digest(held.key_hash, key_hash)


def refuse_second_holder(held: Held | None, key_hash: bytes, now_s: float) -> None:
    """Raise LeaseHeld unless the lease is free or the caller's own."""
    if held is not None and is_live(held, now_s) and not is_holder(held, key_hash, now_s):
        left_s = held.until_s - now_s
        raise LeaseHeld(
            f"another process has this instance's lease for {left_s:.1f} s more, unless it renews it; "
            "wait, or register under another instance name",
            retry_after_s=left_s,
        )


def demand_holder(held: Held | None, token: int, key_hash: bytes, now_s: float) -> None:
    """Raise LeaseLost unless this very lease is live."""
    if held is None or held.token != token or not is_holder(held, key_hash, now_s):
        raise LeaseLost("the lease has ended or another process has it now: stop acting, and register anew")


def holder_until_s(asked_at_s: float, ttl_s: float) -> float:
    """Until when a holder may act, on its own monotonic clock; `asked_at_s` was read before it asked."""
    return asked_at_s + ttl_s * _HOLDERS_PART
