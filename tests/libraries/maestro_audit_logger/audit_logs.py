"""Logs as the tests need them: small, signed by a key that is always the same, with times that are always the same."""

from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

from maestro_audit_logger import AuditLog, Checkpoint, Event, HmacSigner, Report, check_log
from maestro_audit_logger.testing import ManualClock

ORIGIN = "example.com/audit"
SIGNER = HmacSigner(ORIGIN, bytes(range(32)))
KEYS = (SIGNER.note_key,)


def event(number: int) -> Event:
    """An event that tells its number."""
    return Event(f"user:{number % 5}", f"act:{number % 3}", f"thing:{number}", details={"n": number})


def open_log(folder: Path, **settings: Any) -> AuditLog:
    """The log in the folder, on a clock of its own that a test may move through `clock`."""
    given: dict[str, Any] = {"origin": ORIGIN, "signer": SIGNER, "clock": ManualClock(), **settings}
    return AuditLog(folder, **given)


def make_log(folder: Path, count: int, *, at_once: int = 100, **settings: Any) -> Checkpoint:
    """Write a log of `count` entries, a second apart between batches, and give its last checkpoint."""
    clock = ManualClock()
    with open_log(folder, clock=clock, **settings) as log:
        for first in range(0, count, at_once):
            log.append_many([event(number) for number in range(first, min(first + at_once, count))])
            clock.advance(timedelta(seconds=1))
        return log.checkpoint()


def check(folder: Path, checkpoints: Iterable[Checkpoint] = ()) -> Report:
    """Check the log with the key of these tests."""
    return check_log(folder, keys=KEYS, checkpoints=checkpoints)
