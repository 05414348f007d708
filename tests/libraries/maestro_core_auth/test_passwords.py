"""Passwords: argon2id, off the event loop, bounded, throttled, and silent about who exists."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from libraries.maestro_core_auth.attacks import mangled

from maestro_core_auth import (
    ApiKeys,
    AuthEvent,
    InvalidCredentials,
    LoginThrottle,
    LoginThrottled,
    MemoryAuthStore,
    PasswordRejected,
    PasswordsBusy,
    RefreshTokens,
    Sessions,
    ThrottleRule,
    UnknownUser,
    Users,
)
from maestro_core_auth.passwords import OWASP_MINIMUM, RFC_9106_LOW_MEMORY, Argon2Cost, PasswordLogins, Passwords
from maestro_core_auth.testing import ManualClock

CHEAP = Argon2Cost(memory_kib=8, passes=1, lanes=1)
GOOD = "correct horse battery staple"


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(CHEAP)
    yield made
    made.close()


class World:
    """A user with a password, and the way to log in."""

    def __init__(self, passwords: Passwords, **settings: Any) -> None:
        self.clock = ManualClock()
        self.store = MemoryAuthStore()
        self.users = Users(self.store)
        self.heard: list[AuthEvent] = []
        self.logins = PasswordLogins(self.store, passwords, clock=self.clock, listener=self.heard.append, **settings)

    async def with_user(self) -> "World":
        await self.users.add("ada", {"viewer"})
        await self.logins.set_password("ada", GOOD)
        return self


@pytest.mark.parametrize(
    ("cost", "said"), [(RFC_9106_LOW_MEMORY, "m=65536,t=3,p=4"), (OWASP_MINIMUM, "m=19456,t=2,p=1")]
)
async def test_the_named_parameters_are_what_is_used(cost: Argon2Cost, said: str) -> None:
    """RFC 9106 by default, OWASP's by name; version 19, 16 bytes of salt, 32 of hash."""
    assert Passwords.__init__.__defaults__ == (RFC_9106_LOW_MEMORY,)
    async with Passwords(cost) as passwords:
        made = await passwords.hash(GOOD, "ada")
        _, kind, version, parameters, salt, digest = made.split("$")
        assert (kind, version, parameters, len(salt), len(digest)) == ("argon2id", "v=19", said, 22, 43)
        assert await passwords.verify(made, GOOD)
        assert not await passwords.verify(made, GOOD + " ")


@settings(max_examples=60)
@given(st.data())
async def test_only_the_password_itself_is_let_in(data: st.DataObject) -> None:
    """A bit flipped, another case, a piece of it, or anything else; and never with a hash that was tampered with."""
    async with Passwords(CHEAP) as passwords:
        made = await passwords.hash(GOOD, "ada")
        assert await passwords.verify(made, GOOD)
        assert not await passwords.verify(made, data.draw(mangled(GOOD)))
        assert not await passwords.verify(data.draw(st.text(max_size=120)), GOOD)


@settings(max_examples=30)
@given(st.text(min_size=15, max_size=200))
async def test_any_text_can_be_a_password(text: str) -> None:
    """Every script and every sign counts, and what looks the same is the same."""
    async with Passwords(CHEAP) as passwords:
        try:
            made = await passwords.hash(text, "n")
        except PasswordRejected:
            # Some texts get shorter in the one form that is compared.
            return
        assert await passwords.verify(made, text)


async def test_what_looks_the_same_is_the_same(passwords: Passwords) -> None:
    """Composed or decomposed, as keyboards differ."""
    made = await passwords.hash("caf\u00e9 in the evening", "ada")
    assert await passwords.verify(made, "cafe\u0301 in the evening")


@pytest.mark.parametrize(
    ("password", "problem"),
    [
        ("short", "a password has at least 15 characters"),
        ("", "a password has at least 15 characters"),
        ("x" * 1025, "a password has at most 1024 bytes"),
        ("ä" * 600, "a password has at most 1024 bytes"),
        ("i am ADA lovelace", "a password does not hold the name of its user"),
    ],
    ids=["short", "empty", "long", "long in bytes", "name"],
)
async def test_a_new_password_keeps_the_rules(passwords: Passwords, password: str, problem: str) -> None:
    with pytest.raises(PasswordRejected) as caught:
        await passwords.hash(password, "ada")
    assert caught.value.problems == (problem,)


async def test_a_password_without_end_costs_nothing(passwords: Passwords) -> None:
    """It is refused by its length, before anything is computed."""
    assert not await passwords.verify(None, "x" * 10_000_000)
    assert passwords._room == 66


async def test_no_more_are_computed_at_once_than_there_is_memory_for() -> None:
    """Two run, one waits, the fourth is refused; and the event loop is free all the while."""
    passwords = Passwords(CHEAP, max_concurrent=2, max_waiting=1)
    gate, running, most = threading.Event(), 0, 0
    lock = threading.Lock()

    def work() -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        assert gate.wait(30)
        with lock:
            running -= 1

    waiting = [asyncio.create_task(passwords._off_loop(work)) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(PasswordsBusy):
        await passwords.verify(None, GOOD)
    gate.set()
    await asyncio.gather(*waiting)
    assert most <= 2
    assert not await passwords.verify(None, GOOD)
    passwords.close()


async def test_the_room_of_a_cancelled_login_is_given_back() -> None:
    """But not before its work has ended, as that is when its memory is free."""
    passwords = Passwords(CHEAP, max_concurrent=1, max_waiting=0)
    gate, began = threading.Event(), threading.Event()

    def work() -> None:
        began.set()
        assert gate.wait(30)

    task = asyncio.create_task(passwords._off_loop(work))
    await asyncio.to_thread(began.wait, 30)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(PasswordsBusy):
        await passwords.verify(None, GOOD)
    gate.set()
    await asyncio.to_thread(passwords.close)
    assert passwords._room == 1


async def test_a_login_proves_who_it_is(passwords: Passwords) -> None:
    world = await World(passwords).with_user()
    assert (await world.logins.login("ada", GOOD, address="10.0.0.1")).roles == {"viewer"}
    assert world.heard[-1].action == "login.succeeded"


@pytest.mark.parametrize("who", ["nobody", "keyonly", "disabled", "ada"])
async def test_every_refusal_is_the_same(passwords: Passwords, who: str) -> None:
    """No such user, one without a password, one shut out, a wrong password: one error, one computation each."""
    world = await World(passwords).with_user()
    await world.users.add("keyonly")
    await world.users.add("disabled")
    await world.logins.set_password("disabled", GOOD)
    await world.users.set_disabled("disabled", True)
    computed = []
    verify = passwords._hasher.verify

    class Counted:
        def verify(self, *given: Any) -> bool:
            computed.append(given)
            return bool(verify(*given))

        def __getattr__(self, name: str) -> Any:
            return getattr(hasher, name)

    hasher, passwords._hasher = passwords._hasher, Counted()  # type: ignore[assignment]  # counts and passes on
    with pytest.raises(InvalidCredentials) as caught:
        await world.logins.login(who, GOOD + "!", address="10.0.0.1")
    assert not passwords.needs_rehash(computed[0][0])
    assert (str(caught.value), caught.value.reason) == (
        "The credentials are not valid.",
        "no such user with that password",
    )
    assert len(computed) == 1


async def test_a_login_rehashes_when_parameters_rise() -> None:
    """Once, and the password stays the same."""
    async with Passwords(CHEAP) as old, Passwords(Argon2Cost(16, 2, 1)) as new:
        world = await World(old).with_user()
        before = await world.users.get("ada")
        logins = PasswordLogins(world.store, new, clock=world.clock, listener=world.heard.append)
        after = await logins.login("ada", GOOD, address="a")
        assert after.password_hash != before.password_hash
        assert after == await world.users.get("ada")
        assert [event.action for event in world.heard][-2:] == ["password.rehashed", "login.succeeded"]
        assert await logins.login("ada", GOOD, address="a") == after


async def test_a_new_password_ends_what_the_old_one_began(passwords: Passwords) -> None:
    """Sessions and refresh tokens; API keys, which no password opens, live on."""
    world = await World(passwords).with_user()
    sessions, refresh, keys = Sessions(world.store), RefreshTokens(world.store), ApiKeys(world.store)
    session, token, key = await sessions.start("ada"), await refresh.start("ada"), await keys.issue("ada")
    await world.logins.set_password("ada", "another good password")
    with pytest.raises(InvalidCredentials):
        await sessions.verify(session.secret)
    with pytest.raises(InvalidCredentials):
        await refresh.exchange(token.token)
    assert await keys.verify(key.secret)
    assert world.heard[-1].action == "password.changed"


async def test_a_rehash_does_not_bring_back_an_old_password() -> None:
    """Changed while it was computed, the new one stays."""
    async with Passwords(CHEAP) as old, Passwords(Argon2Cost(16, 2, 1)) as new:
        world = await World(old).with_user()
        logins = PasswordLogins(world.store, new, clock=world.clock)
        seen = await world.users.get("ada")
        await logins.set_password("ada", "another good password")
        changed = await world.users.get("ada")
        await logins._rehashed(seen, GOOD)
        assert await world.users.get("ada") == changed


async def test_guessing_is_throttled(passwords: Passwords) -> None:
    """Also when all guesses come at once; the true password has to wait too, and then works."""
    throttle = LoginThrottle(per_account=ThrottleRule(3, first_wait_s=10.0, max_wait_s=10.0))
    world = await World(passwords, throttle=throttle).with_user()
    tries = [world.logins.login("ada", f"guess number {number}", address="a") for number in range(20)]
    outcomes = await asyncio.gather(*tries, return_exceptions=True)
    assert [type(one) for one in outcomes] == [InvalidCredentials] * 3 + [LoginThrottled] * 17
    with pytest.raises(LoginThrottled) as caught:
        await world.logins.login("ada", GOOD, address="b")
    assert caught.value.retry_after_s == 10.0
    world.clock.advance(10)
    assert await world.logins.login("ada", GOOD, address="b")
    assert [event.action for event in world.heard].count("login.throttled") == 18


async def test_what_was_typed_as_a_name_is_not_logged_if_it_is_none(passwords: Passwords) -> None:
    """It may be a password, in the wrong field, or a line that forges a log."""
    world = World(passwords)
    for name in ("x" * 65, "a\nb"):
        with pytest.raises(InvalidCredentials):
            await world.logins.login(name, GOOD, address="a")
        assert world.heard[-1].subject == "(not a name)"


async def test_only_a_user_gets_a_password(passwords: Passwords) -> None:
    with pytest.raises(UnknownUser):
        await World(passwords).logins.set_password("nobody", GOOD)
