"""Idempotency keys in memory: for tests, and for a service whose effects die with its process too."""

import heapq
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from maestro_core_api._errors import IdempotencyUnavailable, InvalidApi
from maestro_core_api._idempotency_law import Claim, KeptAnswer, KeyRecord, KeyState, judged


def _now() -> datetime:
    return datetime.now(UTC)


class MemoryIdempotencyStore:
    """Keeps keys until the process ends, at most `max_keys`: with more the next one raises IdempotencyUnavailable."""

    def __init__(self, *, max_keys: int = 10_000, now: Callable[[], datetime] = _now) -> None:
        if max_keys < 1:
            raise InvalidApi("max_keys is at least 1")
        self._max_keys = max_keys
        self._now = now
        self._records: dict[str, KeyRecord] = {}
        self._expiries: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._records)

    async def begin(self, key: str, fingerprint: str, token: str, *, lease: timedelta, retention: timedelta) -> Claim:
        """See IdempotencyStore; nothing is awaited, so it is one step."""
        now_s = self._now().timestamp()
        self._forget_expired(now_s)
        claim = judged(self._records.get(key), fingerprint, now_s)
        if claim.state is KeyState.BEGUN:
            if key not in self._records and len(self._records) >= self._max_keys:
                raise IdempotencyUnavailable(f"{self._max_keys} keys are kept already; try again later")
            expires_at = now_s + retention.total_seconds()
            self._keep(key, KeyRecord(fingerprint, token, now_s + lease.total_seconds(), expires_at))
        return claim

    async def finish(self, key: str, token: str, answer: KeptAnswer, *, retention: timedelta) -> bool:
        """See IdempotencyStore."""
        record = self._open_record(key, token)
        if record is not None:
            expires_at = self._now().timestamp() + retention.total_seconds()
            self._keep(key, replace(record, answer=answer, expires_at=expires_at))
        return record is not None

    async def abandon(self, key: str, token: str) -> bool:
        """See IdempotencyStore."""
        record = self._open_record(key, token)
        if record is not None:
            del self._records[key]
        return record is not None

    def _open_record(self, key: str, token: str) -> KeyRecord | None:
        record = self._records.get(key)
        return record if record is not None and record.token == token and record.answer is None else None

    def _keep(self, key: str, record: KeyRecord) -> None:
        self._records[key] = record
        heapq.heappush(self._expiries, (record.expires_at, key))
        if len(self._expiries) > 3 * self._max_keys:  # keys that were abandoned, or answered since, left theirs behind
            self._expiries = [(each.expires_at, name) for name, each in self._records.items()]
            heapq.heapify(self._expiries)

    def _forget_expired(self, now_s: float) -> None:
        while self._expiries and self._expiries[0][0] <= now_s:
            _, key = heapq.heappop(self._expiries)
            record = self._records.get(key)
            if record is not None and record.expires_at <= now_s:
                del self._records[key]
