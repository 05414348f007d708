"""Random crashes, lost answers, delays and crooked clocks: two holders of a lease never both act with a valid token.

The world has true time. The registry and each of two rivals has a clock of its own that runs fast or slow. The rivals
want the same lease, and act on a resource that a FencingGuard keeps.
"""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from maestro_service_registry import (
    Changes,
    FencingGuard,
    Instance,
    Keeper,
    Lease,
    LeaseLost,
    LocalRegistry,
    Query,
    Registration,
    RegistryError,
    Snapshot,
    StaleToken,
    Status,
    Unreachable,
)
from maestro_service_registry.testing import ManualClock

MEMORY = Path("/dev/shm")
TTL_S = 10.0
LEADER = Registration("orders", "leader", "http://leader", ttl_s=TTL_S)
RIVALS = st.integers(0, 1)
# Short, within the lease's time, just short of what a holder allows itself, and beyond.
DELAYS = st.sampled_from([0.3, 4.0, 8.8, 11.0])


class Slow:
    """The way to the registry: what is asked takes time on the way there and back, and may be lost on either."""

    def __init__(self, world: "Crooked") -> None:
        self.world = world
        self.there_s = self.back_s = 0.0
        self.lost_there = self.lost_back = False

    def register(self, registration: Registration, key: str) -> Lease:
        self._go(self.there_s, self.lost_there)
        lease = self.world.registry.register(registration, key)
        self._go(self.back_s, self.lost_back)
        return lease

    def renew(self, lease: Lease, status: Status | None = None) -> None:
        self._go(self.there_s, self.lost_there)
        self.world.registry.renew(lease, status)
        self._go(self.back_s, self.lost_back)

    def deregister(self, lease: Lease) -> None:
        raise AssertionError("nobody gives the lease back here")

    def get(self, service: str, instance: str) -> Instance:
        raise AssertionError("nobody asks here")

    def snapshot(self, query: Query = Query()) -> Snapshot:  # noqa: B008 - the shape of Registry
        raise AssertionError("nobody asks here")

    def changes(self, after: int, query: Query = Query(), wait_s: float = 0.0) -> Changes:  # noqa: B008 - the shape
        raise AssertionError("nobody asks here")

    def _go(self, delay_s: float, lost: bool) -> None:
        self.world.pass_time(delay_s)
        if lost:
            raise Unreachable("lost on the way")


class Crooked(RuleBasedStateMachine):
    """Clocks run at 0.2 to 5 times true time: holders may be wrong about themselves; the guard keeps late ones out."""

    def __init__(self) -> None:
        super().__init__()
        # In memory where there is such a folder: the disk is not what this is about.
        self.folder = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
        self.guard = FencingGuard()
        self.acted: list[int] = []
        self.owner_of: dict[int, Keeper] = {}

    @initialize(rates=st.lists(st.sampled_from([0.2, 1.0, 5.0]), min_size=3, max_size=3))
    def begin(self, rates: list[float]) -> None:
        self.start(rates)

    def start(self, rates: list[float]) -> None:
        self.rates = rates
        self.clocks = [ManualClock(rate=rate) for rate in rates[:2]]
        self.ways = [Slow(self) for _ in range(2)]
        self.keepers = [self.keeper(rival) for rival in range(2)]
        self.registry_clock = ManualClock(rate=rates[2])
        self.registry = LocalRegistry(self.folder / "registry.db", clock=self.registry_clock, expire=False)

    def keeper(self, rival: int) -> Keeper:
        return Keeper(self.ways[rival], LEADER, clock=self.clocks[rival])

    def pass_time(self, true_s: float) -> None:
        """In small parts, so that what must always hold is looked at on the way."""
        while true_s > 0:
            part_s = min(true_s, 0.5)
            for clock in (*self.clocks, self.registry_clock):
                clock.advance(part_s)
            true_s -= part_s
            self.check()

    def check(self) -> None:
        """What holds at every moment; nothing here, where clocks know no bound."""

    @rule(true_s=DELAYS)
    def time_passes(self, true_s: float) -> None:
        self.pass_time(true_s)

    @rule()
    def a_lease_nearly_runs_out(self) -> None:
        self.pass_time(0.97 * TTL_S)

    @rule(rival=RIVALS)
    def a_rival_asks_at_once(self, rival: int) -> None:
        self.a_rival_asks(rival, 0.0, 0.0, "no")

    @rule(rival=RIVALS, there_s=DELAYS, back_s=DELAYS, lost=st.sampled_from(["no", "there", "back"]))
    def a_rival_asks(self, rival: int, there_s: float, back_s: float, lost: str) -> None:
        way = self.ways[rival]
        way.there_s, way.back_s = there_s, back_s
        way.lost_there, way.lost_back = lost == "there", lost == "back"
        try:
            self.keepers[rival].step()
        except LeaseLost:
            self.keepers[rival] = self.keeper(rival)
        except RegistryError:
            pass

    @rule(rival=RIVALS, pause_s=DELAYS)
    def a_rival_acts(self, rival: int, pause_s: float) -> None:
        """It looks whether it may, falls asleep for a while, and then does it."""
        keeper = self.keepers[rival]
        try:
            token = keeper.token
        except LeaseLost:
            return
        self.pass_time(pause_s)
        try:
            with self.guard.acting("the resource", token):
                self.acted.append(token)
        except StaleToken:
            assert token < max(self.acted), "only the late are refused"
        assert self.owner_of.setdefault(token, keeper) is keeper, "two processes have had one token"

    @rule(rival=RIVALS)
    def a_rival_crashes(self, rival: int) -> None:
        self.keepers[rival] = self.keeper(rival)

    @rule(away_s=st.sampled_from([0.0, 4.0]), clock_s=st.sampled_from([0.0, 1e6]))
    def the_registry_crashes(self, away_s: float, clock_s: float) -> None:
        """Everything that it answered is on disk; its monotonic clock begins anew anywhere."""
        self.registry.close()
        self.pass_time(away_s)
        self.registry_clock = ManualClock(clock_s, rate=self.rates[2])
        self.registry = LocalRegistry(self.folder / "registry.db", clock=self.registry_clock, expire=False)

    @invariant()
    def a_later_holder_is_never_followed_by_an_earlier_one(self) -> None:
        assert self.acted == sorted(self.acted)

    def teardown(self) -> None:
        if hasattr(self, "registry"):
            self.registry.close()
        shutil.rmtree(self.folder)


class Bounded(Crooked):
    """Clocks are at most 5% wrong, as the library allows for: never do two processes take themselves for the holder."""

    @initialize(rates=st.lists(st.sampled_from([0.95, 1.05]), min_size=3, max_size=3))
    def begin(self, rates: list[float]) -> None:
        self.start(rates)

    def check(self) -> None:
        holders = [keeper for keeper in self.keepers if keeper.valid]
        assert len(holders) <= 1, "two processes take themselves for the holder"

    @invariant()
    def there_is_one_holder_at_most(self) -> None:
        if hasattr(self, "keepers"):
            self.check()


CHECKS = settings(
    max_examples=300,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestCrookedClocks = Crooked.TestCase
TestCrookedClocks.settings = CHECKS
TestBoundedClocks = Bounded.TestCase
TestBoundedClocks.settings = CHECKS


def test_the_slowest_holder_stops_before_the_fastest_registry_gives_away() -> None:
    """At the edge of what is allowed for; the rival asks all the time, and gets the lease within its time."""
    world = Bounded()
    world.start([0.95, 1.05, 1.05])
    try:
        world.a_rival_asks_at_once(0)
        for _ in range(100):
            world.pass_time(0.1)
            world.a_rival_asks_at_once(1)
            world.check()
        assert world.keepers[1].valid
    finally:
        world.teardown()


def test_leases_change_hands_in_this_world() -> None:
    """A rival takes over from another that sleeps, and that one's token is refused."""
    world = Crooked()
    world.start([1.0, 1.0, 1.0])
    try:
        world.a_rival_asks(0, 0, 0, "no")
        late = world.keepers[0].token
        world.pass_time(11)
        world.a_rival_asks(1, 0, 0, "no")
        world.a_rival_acts(1, 0)
        assert world.acted == [late + 1]
        with pytest.raises(StaleToken, match="is late"), world.guard.acting("the resource", late):
            raise AssertionError("the late one got in")
    finally:
        world.teardown()
