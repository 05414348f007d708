"""Refresh tokens: one valid token of a family at most, whatever is presented, in whatever order, by however many."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from libraries.maestro_core_auth.attacks import mangled

from kit.processes import import_path
from maestro_core_auth import (
    AuthEvent,
    AuthStore,
    InvalidCredentials,
    MemoryAuthStore,
    RefreshReused,
    RefreshSuperseded,
    RefreshTokens,
    SqliteAuthStore,
    Users,
)
from maestro_core_auth._opaque import mint
from maestro_core_auth.testing import ManualClock, seeded_bytes


class World:
    """A store with a user, and what refreshes his tokens."""

    def __init__(self, store: AuthStore | None = None, **settings: Any) -> None:
        self.clock = ManualClock()
        self.store = store or MemoryAuthStore()
        self.heard: list[AuthEvent] = []
        self.refresh = RefreshTokens(
            self.store, clock=self.clock, random_bytes=seeded_bytes(1), listener=self.heard.append, **settings
        )

    async def start(self) -> str:
        if await self.store.user("ada") is None:
            await Users(self.store).add("ada", {"viewer"})
        return (await self.refresh.start("ada")).token

    async def outcome(self, token: str) -> str:
        """`ok`, or the code of the error."""
        try:
            await self.refresh.exchange(token)
        except (InvalidCredentials, RefreshSuperseded) as error:
            return error.code
        return "ok"


async def test_each_token_gives_the_next() -> None:
    """With the user as he is by then, in the same family."""
    world = World()
    token = await world.start()
    for number in range(5):
        await Users(world.store).set_roles("ada", {f"role{number}"})
        issued = await world.refresh.exchange(token)
        assert issued.user.roles == {f"role{number}"}
        assert issued.token != token
        token = issued.token


async def test_a_spent_token_ends_the_family_and_is_told() -> None:
    """Whoever has the newest one, thief or owner, has nothing any more."""
    world = World()
    first = await world.start()
    second = (await world.refresh.exchange(first)).token
    with pytest.raises(RefreshReused):
        await world.refresh.exchange(first)
    assert await world.outcome(second) == "auth.invalid-credentials"
    told = world.heard[-1]
    assert (told.action, told.subject, told.reason) == (
        "refresh.reused",
        "ada",
        "a spent refresh token was presented",
    )
    assert await world.outcome(await world.start()) == "ok"


async def test_of_two_tabs_one_wins_and_by_default_the_other_ends_both() -> None:
    """No grace unless asked for."""
    world = World()
    token = await world.start()
    outcomes = await asyncio.gather(world.outcome(token), world.outcome(token))
    assert sorted(outcomes) == ["auth.refresh-reused", "ok"]


@pytest.mark.parametrize("open_store", [lambda path: MemoryAuthStore(), SqliteAuthStore], ids=["memory", "sqlite"])
async def test_within_the_grace_the_slower_tab_is_told_to_wait(
    open_store: Callable[[Path], AuthStore], tmp_path: Path
) -> None:
    """It gets no token, and the faster one's lives on; afterwards, and for an older one, it is theft."""
    world = World(open_store(tmp_path / "auth.db"), grace_s=10.0)
    oldest = await world.start()
    older = (await world.refresh.exchange(oldest)).token
    outcomes = await asyncio.gather(*(world.outcome(older) for _ in range(5)))
    assert sorted(outcomes) == ["auth.refresh-superseded"] * 4 + ["ok"]
    world.clock.advance(9.9)
    assert await world.outcome(older) == "auth.refresh-superseded"
    world.clock.advance(0.1)
    assert await world.outcome(older) == "auth.refresh-reused"
    again = await world.start()
    newer = (await world.refresh.exchange(again)).token
    await world.refresh.exchange(newer)
    assert await world.outcome(again) == "auth.refresh-reused"
    await world.store.close()


@given(st.data())
async def test_no_changed_token_is_exchanged_or_ends_anything(data: st.DataObject) -> None:
    """A mangled token is nobody's: the true one still works afterwards."""
    world = World()
    token = await world.start()
    assert await world.outcome(data.draw(mangled(token))) == "auth.invalid-credentials"
    assert await world.outcome(token) == "ok"


@given(st.integers(2, 2**32))
async def test_a_guess_with_the_true_family_ends_nobodys_login(seed: int) -> None:
    """The id is no secret, so a wrong token of it may not count as reuse; neither may it log anybody out."""
    world = World()
    token = await world.start()
    guess = mint("msr", seeded_bytes(seed), token.split("_")[1]).text
    assert await world.outcome(guess) == "auth.invalid-credentials"
    await world.refresh.revoke(guess)
    assert await world.outcome(token) == "ok"


@given(st.floats(1.0, 1e6), st.floats(0.0, 2e6))
async def test_a_token_that_lies_idle_too_long_is_over(idle_s: float, passed_s: float) -> None:
    """At the very moment; and nothing outlives its family."""
    world = World(idle_s=idle_s, family_s=1e6)
    token = await world.start()
    start = world.clock()
    world.clock.advance(passed_s)
    over = world.clock() >= start + min(timedelta(seconds=idle_s), timedelta(seconds=1e6))
    assert (await world.outcome(token) == "ok") is not over


async def test_no_family_outlives_its_time_however_often_it_is_refreshed() -> None:
    world = World(idle_s=60, family_s=200)
    token = await world.start()
    for _ in range(3):
        world.clock.advance(59)
        token = (await world.refresh.exchange(token)).token
    world.clock.advance(23)
    assert await world.outcome(token) == "auth.invalid-credentials"


async def test_logout_ends_the_family_with_any_of_its_tokens() -> None:
    """Twice does no harm; what is no token at all is refused."""
    for use_spent in (False, True):
        world = World()
        first = await world.start()
        second = (await world.refresh.exchange(first)).token
        await world.refresh.revoke(first if use_spent else second)
        await world.refresh.revoke(second)
        assert await world.outcome(second) == "auth.invalid-credentials"
        assert world.heard[-1].action in ("refresh.revoked", "refresh.reused")
    with pytest.raises(InvalidCredentials):
        await World().refresh.revoke("nonsense")


async def test_all_logins_of_a_subject_end_together() -> None:
    world = World()
    tokens = [await world.start() for _ in range(3)]
    assert await world.refresh.revoke_subject("ada", "the password was changed") == 3
    assert {await world.outcome(token) for token in tokens} == {"auth.invalid-credentials"}
    assert world.heard[-1].reason == "the password was changed: all 3"


async def test_a_disabled_user_gets_no_token() -> None:
    world = World()
    token = await world.start()
    await Users(world.store).set_disabled("ada", True)
    assert await world.outcome(token) == "auth.invalid-credentials"
    with pytest.raises(InvalidCredentials):
        await world.refresh.start("ada")


class Families(RuleBasedStateMachine):
    """Any order of refreshing, replaying, logging out and waiting, held against the simplest model there is."""

    @initialize()
    def begin(self) -> None:
        self.world = World(idle_s=1000, family_s=5000)
        self.tokens = [_run(self.world.start())]
        self.live = True
        self.end_at = self.world.clock() + timedelta(seconds=5000)
        self.idle_at = self.world.clock() + timedelta(seconds=1000)

    @rule()
    def refresh(self) -> None:
        now = self.world.clock()
        good = self.live and now < min(self.idle_at, self.end_at)
        try:
            issued = _run(self.world.refresh.exchange(self.tokens[-1]))
        except InvalidCredentials:
            assert not good
            return
        assert good
        self.tokens.append(issued.token)
        self.idle_at = now + timedelta(seconds=1000)

    @precondition(lambda self: len(self.tokens) > 1)
    @rule(data=st.data())
    def replay(self, data: st.DataObject) -> None:
        spent = data.draw(st.sampled_from(self.tokens[:-1]))
        with pytest.raises(RefreshReused if self.live else InvalidCredentials):
            _run(self.world.refresh.exchange(spent))
        self.live = False

    @rule()
    def logout(self) -> None:
        _run(self.world.refresh.revoke(self.tokens[-1]))
        self.live = False

    @rule(seconds=st.floats(0, 600))
    def wait(self, seconds: float) -> None:
        self.world.clock.advance(seconds)

    @invariant()
    def one_token_at_most_is_stored(self) -> None:
        if hasattr(self, "world"):
            family = _run(self.world.store.family(self.tokens[0].split("_")[1]))
            assert family is not None
            assert (family.revoked_at is None) is self.live


def _run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


TestFamilies = Families.TestCase
TestFamilies.settings = settings(max_examples=30, stateful_step_count=20)


# Refreshes without end, and says each token before it is used and after it was got.
REFRESHER = """
import asyncio, sys
from maestro_core_auth import RefreshTokens, SqliteAuthStore

async def main(path, token):
    async with SqliteAuthStore(path) as store:
        refresh = RefreshTokens(store)
        while True:
            token = (await refresh.exchange(token)).token
            print(token, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("lines", [1, 2, 5, 9])
def test_killed_in_the_middle_a_family_has_one_valid_token_at_most(tmp_path: Path, lines: int) -> None:
    """kill -9 at any moment: of all tokens ever seen, the last one works, or none of them."""
    path = tmp_path / "store" / "auth.db"

    async def begin() -> str:
        async with SqliteAuthStore(path) as store:
            await Users(store).add("ada")
            return (await RefreshTokens(store).start("ada")).token

    tokens = [asyncio.run(begin())]
    process = subprocess.Popen(
        [sys.executable, "-c", REFRESHER, str(path), tokens[0]],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": import_path()},
    )
    assert process.stdout is not None
    tokens += [process.stdout.readline().strip() for _ in range(lines)]
    process.send_signal(signal.SIGKILL)
    tokens += process.stdout.read().split()
    process.wait(timeout=30)
    process.stdout.close()

    async def taken(number: int) -> bool:
        # Each is tried on a copy of what the killed one left behind, so that trying one does not spoil the next.
        shutil.copytree(tmp_path / "store", tmp_path / f"copy{number}")
        async with SqliteAuthStore(tmp_path / f"copy{number}" / "auth.db") as store:
            try:
                await RefreshTokens(store).exchange(tokens[number])
            except InvalidCredentials:
                return False
            return True

    assert all(tokens)
    valid = [number for number in range(max(0, len(tokens) - 4), len(tokens)) if asyncio.run(taken(number))]
    assert valid in ([len(tokens) - 1], [])


async def test_of_many_processes_stores_one_wins(tmp_path: Path) -> None:
    """Each with a connection of its own, as processes have: one next token, however they race."""
    stores = [SqliteAuthStore(tmp_path / "auth.db") for _ in range(6)]
    await Users(stores[0]).add("ada")
    for _ in range(5):
        token = (await RefreshTokens(stores[0]).start("ada")).token
        exchanges = [RefreshTokens(store, grace_s=60.0).exchange(token) for store in stores]
        outcomes = await asyncio.gather(*exchanges, return_exceptions=True)
        assert sorted(type(one).__name__ for one in outcomes) == ["IssuedRefresh"] + ["RefreshSuperseded"] * 5
    for store in stores:
        await store.close()
