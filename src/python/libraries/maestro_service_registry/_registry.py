"""The registry itself: the law of leases over a store, in one process, for many threads."""

import contextlib
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Final, Protocol, Self

from maestro_service_registry._errors import LeaseLost, RegistryError, StoreError, TooMany, UnknownInstance
from maestro_service_registry._leases import (
    Held,
    demand_holder,
    hash_of,
    is_holder,
    is_live,
    refuse_second_holder,
)
from maestro_service_registry._model import (
    ANY,
    Change,
    ChangeKind,
    Changes,
    Instance,
    Lease,
    Query,
    Registration,
    Snapshot,
    Status,
)
from maestro_service_registry._store import Store

MAX_WAIT_S: Final = 60.0
_LOG: Final = 10_000
_LONGEST_NAP_S: Final = 3600.0
_AFTER_FAULT_S: Final = 1.0

_log = logging.getLogger("maestro_service_registry")


class Registry(Protocol):
    """What a registry does, in this process (`LocalRegistry`) or over HTTP (`RegistryClient`)."""

    def register(self, registration: Registration, key: str) -> Lease:
        """Take the lease of an instance; `key` is the holder's own random secret, the same when it asks again.

        Raises LeaseHeld while another holder has it, TooMany when the registry is full.
        """

    def renew(self, lease: Lease, status: Status | None = None) -> None:
        """Hold the lease for another `ttl_s`, and say how the instance is; raises LeaseLost."""

    def deregister(self, lease: Lease) -> None:
        """Give the lease back; raises LeaseLost when it is not the caller's any more."""

    def get(self, service: str, instance: str) -> Instance:
        """One instance; raises UnknownInstance."""

    def snapshot(self, query: Query = ANY) -> Snapshot:
        """Everything that fits, by service and instance, and the revision that it is as of."""

    def changes(self, after: int, query: Query = ANY, wait_s: float = 0.0) -> Changes:
        """What has happened since a revision to instances that fit, or did; with `wait_s`, waits up to 60 s for it."""


class LocalRegistry:
    """A registry on a database of its own; None keeps everything in memory.

    Leases end by themselves, on a thread that sleeps until the next one is due. After a restart every lease that the
    database holds is good for one more `ttl_s`: no holder loses it because the registry was away.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        max_instances: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        expire: bool = True,
    ) -> None:
        self._clock = clock
        self._now = now
        self._max_instances = max_instances
        self._changed = threading.Condition(threading.RLock())
        self._store = Store(path)
        self._token, self._revision = self._store.counters
        # Each with the instance as it was before: whoever asked for that one has to learn that it is another now.
        self._log: deque[tuple[Change, Instance | None]] = deque(maxlen=_LOG)
        self._instances: dict[tuple[str, str], Instance] = {}
        self._held: dict[tuple[str, str], Held] = {}
        for instance, key_hash in self._store.instances():
            self._instances[_key(instance)] = instance
            self._held[_key(instance)] = Held(instance.token, key_hash, clock() + instance.ttl_s)
        # No lease ends before this: what spares most calls a look at all of them.
        self._next_end_s = min((held.until_s for held in self._held.values()), default=math.inf)
        self._closed = False
        self._expirer = threading.Thread(target=self._expire_when_due, name="registry-expiry", daemon=True)
        if expire:
            self._expirer.start()

    def register(self, registration: Registration, key: str) -> Lease:
        """See Registry."""
        where, key_hash = (registration.service, registration.instance), hash_of(key)
        with self._changed:
            self._open()
            now_s, held = self._clock(), self._held.get(where)
            refuse_second_holder(held, key_hash, now_s)
            again = is_holder(held, key_hash, now_s)
            if where not in self._instances and len(self._instances) >= self._max_instances:
                raise TooMany(f"the registry holds {self._max_instances} instances, and no more")
            token = self._instances[where].token if again else self._token + 1
            instance = self._described(registration, token)
            if held is not None and not is_live(held, now_s):
                self._remove(where, "expired")
            if not again:
                self._token = token
            self._put(instance, key_hash, "changed" if again else "registered")
            # Counted from after the grant is durable; the holder counts from before it asked.
            self._hold(where, Held(token, key_hash, self._clock() + registration.ttl_s))
        return Lease(registration.service, registration.instance, token, key, registration.ttl_s)

    def renew(self, lease: Lease, status: Status | None = None) -> None:
        """See Registry."""
        where, key_hash = (lease.service, lease.instance), hash_of(lease.key)
        with self._changed:
            self._open()
            demand_holder(self._held.get(where), lease.token, key_hash, self._clock())
            self._renewed(where, status)

    def renew_probed(self, instance: Instance) -> None:
        """Hold a probed instance's lease for another `ttl_s`; raises LeaseLost when it is another's meanwhile."""
        with self._changed:
            self._open()
            self._demand_probed(instance)
            self._renewed(_key(instance), "passing")

    def fail_probed(self, instance: Instance) -> None:
        """Say that a probed instance is not well; its lease runs on. Raises LeaseLost as `renew_probed`."""
        with self._changed:
            self._open()
            self._demand_probed(instance)
            self._say(_key(instance), "failing")

    def deregister(self, lease: Lease) -> None:
        """See Registry."""
        where, key_hash = (lease.service, lease.instance), hash_of(lease.key)
        with self._changed:
            self._open()
            demand_holder(self._held.get(where), lease.token, key_hash, self._clock())
            self._remove(where, "deregistered")

    def get(self, service: str, instance: str) -> Instance:
        """See Registry."""
        with self._changed:
            self._open()
            self._tidy()
            held, found = self._held.get((service, instance)), self._instances.get((service, instance))
            live = held is not None and is_live(held, self._clock())
        if found is None or not live:
            raise UnknownInstance(f"no instance {instance!r} of {service!r} is registered")
        return found

    def snapshot(self, query: Query = ANY) -> Snapshot:
        """See Registry."""
        with self._changed:
            self._open()
            self._tidy()
            now_s = self._clock()
            live = (each for where, each in self._instances.items() if is_live(self._held[where], now_s))
            return Snapshot(self._revision, tuple(sorted(filter(query.fits, live), key=_key)))

    def changes(self, after: int, query: Query = ANY, wait_s: float = 0.0) -> Changes:
        """See Registry; the wait is on the real clock."""
        until_s = time.monotonic() + min(max(wait_s, 0.0), MAX_WAIT_S)
        with self._changed:
            seen = after
            while True:
                self._open()
                self._tidy()
                if after > self._revision or after < self._revision - len(self._log):
                    return Changes(self._revision, (), lost=True)
                fresh = [
                    change
                    for change, before in self._tail(seen)
                    if query.fits(change.instance) or (before is not None and query.fits(before))
                ]
                left_s = until_s - time.monotonic()
                if fresh or left_s <= 0:
                    return Changes(self._revision, tuple(fresh))
                seen = self._revision
                self._changed.wait(left_s)

    @property
    def revision(self) -> int:
        """How many changes there have been; raises RegistryError when the registry is closed, or cannot go on."""
        with self._changed:
            self._open()
            self.expire_due()
            return self._revision

    def expire_due(self) -> int:
        """End every lease that is due; returns how many. The registry's own thread calls it in time."""
        with self._changed:
            now_s = self._clock()
            if now_s < self._next_end_s:
                return 0
            due = [where for where, held in self._held.items() if not is_live(held, now_s)]
            for where in due:
                self._remove(where, "expired")
            self._next_end_s = min((held.until_s for held in self._held.values()), default=math.inf)
        return len(due)

    def close(self) -> None:
        """Wake everyone who waits, and let go of the database; leases stay in it."""
        with self._changed:
            if self._closed:
                return
            self._closed = True
            self._changed.notify_all()
        if self._expirer.ident is not None:
            self._expirer.join()
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def _open(self) -> None:
        if self._closed:
            raise RegistryError("the registry is closed")

    def _tidy(self) -> None:
        """Reading goes on without a disk: a lease that cannot be ended is not shown, and its thread tells the log."""
        with contextlib.suppress(StoreError):
            self.expire_due()

    def _described(self, registration: Registration, token: int) -> Instance:
        now = self._now()
        return Instance(
            service=registration.service,
            instance=registration.instance,
            url=registration.url,
            contract=registration.contract,
            labels=registration.labels,
            status="passing",
            token=token,
            ttl_s=registration.ttl_s,
            probe=registration.probe,
            registered_at=now,
            renewed_at=now,
        )

    def _demand_probed(self, instance: Instance) -> None:
        held = self._held.get(_key(instance))
        if held is None or held.token != instance.token or not is_live(held, self._clock()):
            raise LeaseLost(f"{instance.service}/{instance.instance} is not the instance that was probed any more")

    def _renewed(self, where: tuple[str, str], status: Status | None) -> None:
        """Renewals stay in memory: after a restart every lease is good for a whole `ttl_s` anyway."""
        held = self._held[where]
        self._instances[where] = replace(self._instances[where], renewed_at=self._now())
        self._hold(where, replace(held, until_s=self._clock() + self._instances[where].ttl_s))
        if status is not None:
            self._say(where, status)

    def _hold(self, where: tuple[str, str], held: Held) -> None:
        self._held[where] = held
        if held.until_s < self._next_end_s:
            self._next_end_s = held.until_s
            self._changed.notify_all()  # the thread that ends leases has slept for longer

    def _say(self, where: tuple[str, str], status: Status) -> None:
        if self._instances[where].status != status:
            self._put(replace(self._instances[where], status=status), self._held[where].key_hash, "changed")

    def _put(self, instance: Instance, key_hash: bytes, kind: ChangeKind) -> None:
        self._store.put(instance, key_hash, self._token, self._revision + 1)
        before = self._instances.get(_key(instance))
        self._instances[_key(instance)] = instance
        self._tell(kind, instance, before)

    def _remove(self, where: tuple[str, str], kind: ChangeKind) -> None:
        instance = self._instances[where]
        self._store.remove(instance, self._token, self._revision + 1)
        del self._instances[where], self._held[where]
        self._tell(kind, instance, instance)

    def _tell(self, kind: ChangeKind, instance: Instance, before: Instance | None) -> None:
        self._revision += 1
        self._log.append((Change(self._revision, kind, instance), before))
        self._changed.notify_all()

    def _tail(self, after: int) -> list[tuple[Change, Instance | None]]:
        """The changes after a revision; the log has no gaps, so they are at its end."""
        count = self._revision - after
        return [self._log[index] for index in range(len(self._log) - count, len(self._log))]

    def _expire_when_due(self) -> None:
        with self._changed:
            while not self._closed:
                nap_s = _LONGEST_NAP_S
                try:
                    self.expire_due()
                    nap_s = min(nap_s, self._next_end_s - self._clock())
                except StoreError as error:
                    _log.error("leases cannot be ended, trying again: %s", error)
                    nap_s = _AFTER_FAULT_S
                self._changed.wait(max(0.0, nap_s))


def _key(instance: Instance) -> tuple[str, str]:
    return instance.service, instance.instance
