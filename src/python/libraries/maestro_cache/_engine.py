"""get-or-compute, written once for threads and for tasks: what differs between them is the Runtime."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Protocol

from maestro_cache._decide import EarlyRefresh, Entry, Fresh, Miss, Outcome, Raised, StaleRefresh, Value, decide
from maestro_cache._errors import CacheClosed, ComputeCancelled, NotStorable
from maestro_cache._events import ForeignValue, Listener, NotStored, RefreshFailed
from maestro_cache._flight import Flight, Flights, Landing, PassedOn, inside, waiting_for
from maestro_cache._guard import Guard
from maestro_cache._key import Space
from maestro_cache._policy import Policy, error_name
from maestro_cache._stats import Counts
from maestro_cache._store import AsyncStore, Claim, Draft

POLL_S: Final = 0.02
"""How often a process looks whether another one has finished the computation that it waits for."""

REFRESH_PAUSE_S: Final = 1.0
"""How long after a failed refresh of a key the next one may start; the old value is served meanwhile."""

_MAX_PAUSES: Final = 1_000


class Runtime(Protocol):
    """What threads and tasks do differently."""

    def landing(self) -> Landing:
        """A new future."""

    async def fly(self, flight: Callable[[], Coroutine[Any, Any, None]], ended: Callable[[], None]) -> None:
        """Have it done while somebody waits; `ended` is called at its end, even if it never began."""

    def fly_in_background(self, flight: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Have it done while nobody waits."""

    async def wait(self, landing: Landing) -> Outcome:
        """The result, once it is there."""

    async def sleep(self, delay_s: float) -> None:
        """Wait that long."""


@dataclass(frozen=True, slots=True)
class Job:
    """One call of get_or_compute; key and tags are as the store knows them."""

    key: str
    function: Callable[[], Awaitable[object]]
    policy: Policy
    tags: tuple[str, ...]


class Engine:
    """Decides with `decide`, and does what was decided."""

    def __init__(
        self,
        store: AsyncStore,
        space: Space,
        runtime: Runtime,
        *,
        listener: Listener,
        random: Callable[[], float],
        max_refreshes: int,
        retry_s: float,
        raise_errors: bool,
    ) -> None:
        self.counts = Counts()
        self.guard = Guard(store, space, self.counts, listener, retry_s=retry_s, raise_errors=raise_errors)
        self.closed = False
        self._now_s = store.now_s
        self._namespace = space.prefix
        self._runtime = runtime
        self._random = random
        self._max_refreshes = max_refreshes
        self._flights = Flights()
        self._refreshing: set[str] = set()
        self._pauses: dict[str, float] = {}
        self._lock = threading.Lock()

    async def get_or_compute(self, job: Job) -> object:
        """The value of the key, from the store or from the function."""
        if self.closed:
            raise CacheClosed("the cache is closed")
        while True:
            reading = await self.guard.read(job.key, job.tags)
            decision = decide(reading.entry, self._now_s(), job.policy, self._random)
            if not isinstance(decision, Miss) and self._readable(job, decision.entry):
                return self._serve(job, decision)
            mine = Flight(self._flights, job.key, self._runtime.landing())
            try:
                flight = self._flights.join(mine, reading.stamps)
                leading = flight is mine
                with waiting_for(flight):
                    if leading:
                        await self._runtime.fly(partial(self._carry, mine, job, None), partial(self._abandon, mine))
                    outcome = await self._runtime.wait(flight.landing)
            except PassedOn:
                continue
            except asyncio.CancelledError:
                raise
            except BaseException:
                # A Ctrl-C comes between any two steps, and nobody else would end a flight that has not begun.
                self._abandon(mine)
                raise
            if leading or flight.serves(reading.stamps):
                if not (leading and flight.ran):
                    self.counts.add("shared")
                return _reveal(outcome, job.policy)

    async def get(self, key: str, tags: tuple[str, ...]) -> Outcome | None:
        """What the store holds, fresh or stale."""
        reading = await self.guard.read(key, tags)
        entry = reading.entry
        return None if entry is None or entry.served_until_s <= self._now_s() else entry.outcome

    async def set(self, key: str, value: object, policy: Policy, tags: tuple[str, ...]) -> bool:
        """Store the value in place of whatever is there or is being computed."""
        await self.guard.invalidate((key,), ())
        claim = await self.guard.claim(key, tags, None)
        return await self.guard.write(key, self._draft(Value(value), policy, 0.0), claim)

    def _serve(self, job: Job, decision: Fresh | EarlyRefresh | StaleRefresh) -> object:
        if not isinstance(decision, Fresh):
            self._refresh(job, decision.entry)
        self.counts.add("stale_hits" if isinstance(decision, StaleRefresh) else "hits")
        outcome = decision.entry.outcome
        if isinstance(outcome, Value):
            return outcome.value
        self.counts.add("negative_hits")
        return _reveal(outcome, job.policy)

    def _refresh(self, job: Job, served: Entry) -> None:
        """Start a refresh in the background, unless there is one, one has just failed, or there are enough."""
        if self._flights.under_way(job.key) or self._pauses.get(job.key, 0.0) > self._now_s():
            return
        with self._lock:
            if job.key in self._refreshing or len(self._refreshing) >= self._max_refreshes:
                return
            self._refreshing.add(job.key)
        try:
            self._runtime.fly_in_background(partial(self._refresh_now, job, served))
        except BaseException:
            # There is no thread for it, or a Ctrl-C came; the next reader may try again.
            self._refreshing.discard(job.key)
            raise

    async def _refresh_now(self, job: Job, served: Entry) -> None:
        try:
            mine = Flight(self._flights, job.key, self._runtime.landing())
            if self._flights.join(mine, {}) is mine:
                await self._carry(mine, job, served)
        finally:
            self._refreshing.discard(job.key)

    async def _carry(self, flight: Flight, job: Job, served: Entry | None) -> None:
        """Fly, and land with whatever comes of it; `served` is the entry to replace in the background."""
        try:
            outcome = await self._work(flight, job, served)
        except asyncio.CancelledError:
            if self.closed:
                self._fail(flight, CacheClosed("the cache was closed while the function ran"))
            else:
                self._failed(flight, job, served, ComputeCancelled("the function was cancelled from inside"))
        except (PassedOn, CacheClosed) as error:
            self._fail(flight, error)
        except Exception as error:
            self._failed(flight, job, served, error)
        except BaseException:
            # This thread is to end, which is no reason for those who wait to end too.
            self._fail(flight, PassedOn())
            raise
        else:
            self._flights.end(flight)
            flight.landing.set_result(outcome)

    def _failed(self, flight: Flight, job: Job, served: Entry | None, error: Exception) -> None:
        """The function failed: those who wait get its error, and if nobody does, the listener."""
        if served is not None:
            self._pause(job.key)
        if served is not None or flight.waiting == 0:
            self.counts.add("refresh_failures")
            self.guard.tell(RefreshFailed(self._namespace, job.key, error))
        self._fail(flight, error)

    async def _work(self, flight: Flight, job: Job, served: Entry | None) -> Outcome:
        if self.closed:
            raise CacheClosed("the cache is closed")
        claim = await self._claim(flight, job, served)
        if claim.entry is not None:
            return claim.entry.outcome
        flight.ran = True
        self.counts.add("computed" if served is None else "refreshes")
        began_s = self._now_s()
        try:
            with inside(flight, background=served is not None):
                value = await job.function()
        except BaseException as error:
            if type(error) not in job.policy.negative_errors:
                await self.guard.release(job.key, claim)
            else:
                await self._keep_error(job, error, self._now_s() - began_s, claim)
            raise
        outcome = Value(value)
        await self.guard.write(job.key, self._draft(outcome, job.policy, self._now_s() - began_s), claim)
        return outcome

    async def _claim(self, flight: Flight, job: Job, served: Entry | None) -> Claim:
        """Leave to run the function, or a claim with the entry that somebody else has written meanwhile."""
        while True:
            claim = await self.guard.claim(job.key, job.tags, job.policy.lease_s)
            flight.stamps = claim.stamps
            if self._is_news(job, claim.entry, served):
                if claim.granted:
                    await self.guard.release(job.key, claim)
                return claim
            if claim.granted:
                return replace(claim, entry=None)
            if served is not None:
                raise PassedOn
            if self.closed:
                raise CacheClosed("the cache was closed while another process computed")
            await self._runtime.sleep(POLL_S)

    def _is_news(self, job: Job, entry: Entry | None, served: Entry | None) -> bool:
        if entry is None or (served is not None and served.id == entry.id):
            return False
        return not isinstance(decide(entry, self._now_s(), job.policy, _never), Miss) and self._readable(job, entry)

    async def _keep_error(self, job: Job, error: BaseException, compute_s: float, claim: Claim) -> None:
        kind = type(error)
        assert issubclass(kind, Exception), "Policy allows no other negative errors"
        outcome = Raised(error_name(kind), error.args)
        if _rebuilt(outcome, kind) is None:
            problem = NotStorable(f"{kind.__name__}(*args) does not make it again; give its class a plain __init__")
            self.guard.tell(NotStored(self._namespace, job.key, problem))
            await self.guard.release(job.key, claim)
        else:
            await self.guard.write(job.key, self._draft(outcome, job.policy, compute_s), claim)

    def _draft(self, outcome: Outcome, policy: Policy, compute_s: float) -> Draft:
        nothing = isinstance(outcome, Raised) or outcome.value is None
        negative = nothing and policy.negative_ttl_s is not None
        fresh_s = policy.lifetime_s(negative=negative, random=self._random)
        return Draft(outcome, fresh_s, 0.0 if negative else policy.stale_s, compute_s)

    def _readable(self, job: Job, entry: Entry) -> bool:
        """Whether a kept error can be raised again; another version of its class may have kept it."""
        if isinstance(entry.outcome, Value):
            return True
        kind = job.policy.negative_error(entry.outcome.name)
        if kind is not None and _rebuilt(entry.outcome, kind) is not None:
            return True
        self.guard.tell(ForeignValue(self._namespace, job.key, "a kept error that cannot be made again"))
        return False

    def _pause(self, key: str) -> None:
        now_s = self._now_s()
        if len(self._pauses) >= _MAX_PAUSES:
            self._pauses = {}
        self._pauses[key] = now_s + REFRESH_PAUSE_S

    def _abandon(self, flight: Flight) -> None:
        """End a flight that ended without landing; those who wait go on without it."""
        if not flight.landing.done():
            self._fail(flight, CacheClosed("the cache is closed") if self.closed else PassedOn())

    def _fail(self, flight: Flight, error: Exception) -> None:
        self._flights.end(flight)
        flight.landing.set_exception(error)


def _never() -> float:
    """Chance that never asks for an early refresh."""
    return 0.0


def _rebuilt(outcome: Raised, kind: type[Exception]) -> Exception | None:
    try:
        return kind(*outcome.arguments)
    except Exception:
        return None


def _reveal(outcome: Outcome, policy: Policy) -> object:
    """The value, or the kept error raised."""
    if isinstance(outcome, Value):
        return outcome.value
    kind = policy.negative_error(outcome.name)
    error = None if kind is None else _rebuilt(outcome, kind)
    assert error is not None, "decide and _readable let no other error through"
    raise error
