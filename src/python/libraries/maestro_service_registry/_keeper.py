"""Keeps an instance registered for as long as a program runs, on a thread of its own."""

import logging
import secrets
import threading
import time
from collections.abc import Callable
from typing import Final, Self

from maestro_service_registry._errors import LeaseHeld, LeaseLost, RegistryError
from maestro_service_registry._leases import holder_until_s
from maestro_service_registry._model import Lease, Registration, Status
from maestro_service_registry._registry import Registry

_FIRST_WAIT_S: Final = 0.2
_LONGEST_WAIT_S: Final = 15.0

_log = logging.getLogger("maestro_service_registry")


class Keeper:
    """Registers, renews every third of `ttl_s`, registers anew when the lease was lost, and gives it back at the end.

    Entering returns at once, whether the registry answers or not: it goes on trying. `valid` is true only while this
    process may act as the instance, reckoned on its own clock so that it ends before the registry gives the lease to
    another. `on_change(valid)` is called on the keeper's thread, between its calls to the registry; what it raises is
    logged.
    """

    def __init__(
        self,
        registry: Registry,
        registration: Registration,
        *,
        on_change: Callable[[bool], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._registry = registry
        self._registration = registration
        self._on_change = on_change
        self._clock = clock
        self._key = secrets.token_urlsafe(24)
        self._state = threading.Condition()
        self._lease: Lease | None = None
        self._until_s = 0.0
        self._status: Status = "passing"
        self._said: Status = "passing"
        self._woken = False
        self._told = False
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="registry-keeper", daemon=True)

    @property
    def valid(self) -> bool:
        """Whether this process may act as the instance right now."""
        with self._state:
            return self._lease is not None and self._clock() < self._until_s

    @property
    def token(self) -> int:
        """The fencing token to act with; raises LeaseLost while the lease is not held."""
        with self._state:
            if self._lease is None or self._clock() >= self._until_s:
                raise LeaseLost(
                    f"{self._registration.service}/{self._registration.instance} is not held by this process"
                )
            return self._lease.token

    def wait(self, timeout_s: float) -> bool:
        """Wait until the lease is held; whether it is."""
        with self._state:
            return self._state.wait_for(lambda: self.valid, timeout_s)

    def say(self, status: Status) -> None:
        """Tell how the instance is: `draining` before it stops, `failing` when it cannot work."""
        with self._state:
            self._status, self._woken = status, True
            self._state.notify_all()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        with self._state:
            self._stopped = True
            self._state.notify_all()
        self._thread.join()

    def step(self) -> float:
        """Do what is due once; seconds until the next time. The keeper's own thread calls it."""
        with self._state:
            held, status, self._woken = self._lease, self._status, False
        asked_at_s = self._clock()
        lease = held or self._registry.register(self._registration, self._key)
        said = self._said if held else "passing"
        if held or status != said:
            self._registry.renew(lease, status if status != said else None)
        self._said = status
        with self._state:
            self._lease, self._until_s = lease, holder_until_s(asked_at_s, lease.ttl_s)
            self._state.notify_all()
        return lease.ttl_s / 3

    def _run(self) -> None:
        wait_s = _FIRST_WAIT_S
        while not self._stopped:
            try:
                pause_s, wait_s = self.step(), _FIRST_WAIT_S
            except LeaseLost as error:
                self._lose(error)
                pause_s = 0.0
            except Exception as error:  # whatever it is: to end here would let the lease end too
                strange = not isinstance(error, RegistryError)
                _log.warning("%s is not registered: %s", self._registration.service, error, exc_info=strange)
                pause_s = wait_s
                if isinstance(error, LeaseHeld) and error.retry_after_s is not None:
                    pause_s = min(wait_s, max(error.retry_after_s, _FIRST_WAIT_S))
                wait_s = min(wait_s * 2, _LONGEST_WAIT_S, self._registration.ttl_s / 3)
            self._tell()
            self._pause(pause_s)
        self._give_back()

    def _pause(self, pause_s: float) -> None:
        """Wait until the next step is due, until there is something to say, or until the lease ends unrenewed."""
        until_s = self._clock() + pause_s
        while True:
            with self._state:
                left_s = until_s - self._clock()
                if self._stopped or self._woken or left_s <= 0:
                    return
                to_the_end_s = self._until_s - self._clock() if self._told else left_s
                self._state.wait(max(0.0, min(left_s, to_the_end_s)))
            # Without the lock: who is told may wait for threads that look at `valid`.
            self._tell()

    def _lose(self, error: LeaseLost) -> None:
        """A new key makes what follows a new holding, with a new token."""
        _log.warning("%s/%s: %s", self._registration.service, self._registration.instance, error)
        with self._state:
            self._lease, self._key = None, secrets.token_urlsafe(24)

    def _tell(self) -> None:
        valid = self.valid
        if valid != self._told:
            self._told = valid
            if self._on_change is None:
                return
            try:
                self._on_change(valid)
            except Exception:
                _log.exception("on_change has failed; %s is kept registered", self._registration.service)

    def _give_back(self) -> None:
        with self._state:
            lease, self._lease = self._lease, None
        self._tell()
        if lease is not None:
            try:
                self._registry.deregister(lease)
            except RegistryError as error:
                _log.info("%s leaves without a word, its lease ends by itself: %s", self._registration.service, error)
