"""What every AuthStore must keep, as a suite to be subclassed."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from maestro_core_auth._principal import EVERY_SCOPE
from maestro_core_auth._records import Family, KeyRecord, SigningKeyRecord, User
from maestro_core_auth._rotation import Exchange, Outcome
from maestro_core_auth._store import AuthStore

_NOW = datetime(2026, 1, 1, 12, 0, 0, 123_457, tzinfo=UTC)
_HOUR = timedelta(hours=1)


def _user(subject: str = "ada") -> User:
    return User(subject, frozenset({"admin", "viewer"}), _NOW, "$argon2id$…")


def _key(key_id: str = "key1", tag: str = "mst", subject: str = "ada") -> KeyRecord:
    roles, scopes = frozenset({"viewer"}), frozenset({"workflow:*", "audit:read"})
    return KeyRecord(key_id, tag, subject, roles, scopes, "of the CI", key_id.encode(), _NOW, _NOW + _HOUR)


def _family(family_id: str = "fam1", subject: str = "ada") -> Family:
    return Family(family_id, subject, EVERY_SCOPE, "cli", b"token0", _NOW, _NOW + _HOUR, _NOW + 24 * _HOUR)


def _exchange(presented: bytes, successor: bytes, family_id: str = "fam1") -> Exchange:
    return Exchange(family_id, presented, successor, _NOW + 2 * _HOUR, _NOW, grace_s=0.0)


def _signing_key(kid: str) -> SigningKeyRecord:
    return SigningKeyRecord(kid, "-----BEGIN PRIVATE KEY-----", _NOW, _NOW + _HOUR)


class AuthStoreConformance:
    """Subclass it in a test as `class TestMyStore(AuthStoreConformance)` and say how to open one in `open_store`.

    The tests are coroutines. `open_store` gives a new, empty store; each test closes it.
    """

    async def open_store(self) -> AuthStore:
        """A new, empty store."""
        raise NotImplementedError

    async def test_a_record_comes_back_as_it_was_kept(self) -> None:
        """Every field, to the microsecond."""
        store = await self.open_store()
        user, key, family, signing_key = _user(), _key(), _family(), _signing_key("k1")
        assert [await store.add_user(user), await store.add_key(key), await store.add_family(family)] == [True] * 3
        assert await store.add_signing_key(signing_key, None)
        assert (await store.user("ada"), await store.key("key1")) == (user, key)
        assert (await store.family("fam1"), await store.signing_keys()) == (family, [signing_key])
        await store.close()

    async def test_what_was_never_kept_is_not_there(self) -> None:
        """None, an empty list or False, and no error."""
        store = await self.open_store()
        assert (await store.user("x"), await store.key("x"), await store.family("x")) == (None, None, None)
        assert (await store.users(), await store.keys("mst"), await store.signing_keys()) == ([], [], [])
        assert not await store.revoke_key("x", _NOW)
        assert not await store.revoke_family("x", _NOW, "test")
        assert not await store.remove_signing_key("x")
        assert not await store.replace_user(_user(), _user())
        assert not await store.replace_key("x", _key(), _NOW)
        assert await store.take_once(b"x", _NOW) is None
        assert await store.exchange(_exchange(b"a", b"b")) == (Outcome.UNKNOWN, None)
        await store.touch_key("x", _NOW)
        await store.close()

    async def test_what_is_taken_stays(self) -> None:
        """A second record of the same name is refused, and the first one unharmed."""
        store = await self.open_store()
        assert [await store.add_user(_user()), await store.add_user(replace(_user(), disabled=True))] == [True, False]
        assert [await store.add_key(_key()), await store.add_key(replace(_key(), label="other"))] == [True, False]
        assert [await store.add_family(_family()), await store.add_family(_family(subject="eve"))] == [True, False]
        assert (await store.user("ada"), await store.key("key1")) == (_user(), _key())
        assert await store.family("fam1") == _family()
        await store.close()

    async def test_a_user_is_replaced_only_as_he_was_seen(self) -> None:
        """Of two changes from one sight the second is refused, whichever field the first one changed."""
        for change in ({"disabled": True}, {"roles": frozenset({"x"})}, {"password_hash": None}):
            store = await self.open_store()
            seen = _user()
            await store.add_user(seen)
            changed = replace(seen, **change)
            assert await store.replace_user(seen, changed)
            assert not await store.replace_user(seen, replace(seen, password_hash="new"))
            assert await store.user("ada") == changed
            assert not await store.replace_user(changed, replace(changed, subject="eve"))
            await store.close()

    async def test_keys_are_listed_by_tag_and_subject(self) -> None:
        """Oldest first."""
        store = await self.open_store()
        late = replace(_key("late"), created_at=_NOW + _HOUR)
        for key in (late, _key("b"), _key("a"), _key("s", tag="mss"), _key("e", subject="eve")):
            await store.add_key(key)
        assert [key.id for key in await store.keys("mst", "ada")] == ["a", "b", "late"]
        assert [key.id for key in await store.keys("mst")] == ["a", "b", "e", "late"]
        assert [key.id for key in await store.keys("mss", "eve")] == []
        await store.close()

    async def test_a_revocation_is_final(self) -> None:
        """The first counts, with its time; later ones change nothing."""
        store = await self.open_store()
        await store.add_key(_key())
        assert [await store.revoke_key("key1", _NOW), await store.revoke_key("key1", _NOW + _HOUR)] == [True, False]
        assert await store.key("key1") == replace(_key(), revoked_at=_NOW)
        assert not await store.replace_key("key1", _key("key2"), _NOW)
        assert await store.key("key2") is None
        await store.close()

    async def test_all_keys_of_a_subject_end_together(self) -> None:
        """Those with the tag, and nobody else's."""
        store = await self.open_store()
        for key in (_key("a"), _key("b"), _key("s", tag="mss"), _key("e", subject="eve")):
            await store.add_key(key)
        await store.revoke_key("b", _NOW)
        assert await store.revoke_keys("mst", "ada", _NOW) == 1
        live = [key.id for tag in ("mst", "mss") for key in await store.keys(tag) if key.revoked_at is None]
        assert live == ["e", "s"]
        await store.close()

    async def test_a_replaced_key_ends_earlier_and_never_later(self) -> None:
        """Its successor is there at the same moment."""
        store = await self.open_store()
        await store.add_key(_key())
        assert await store.replace_key("key1", _key("key2"), _NOW + _HOUR / 2)
        assert await store.replace_key("key1", _key("key3"), _NOW + 9 * _HOUR)
        assert not await store.replace_key("key1", _key("key2"), _NOW)
        assert await store.key("key1") == replace(_key(), expires_at=_NOW + _HOUR / 2)
        assert [key.id for key in await store.keys("mst")] == ["key1", "key2", "key3"]
        await store.close()

    async def test_the_last_use_only_moves_on(self) -> None:
        """Uses may be noted out of order."""
        store = await self.open_store()
        await store.add_key(_key())
        await store.touch_key("key1", _NOW + _HOUR)
        await store.touch_key("key1", _NOW)
        assert await store.key("key1") == replace(_key(), last_used_at=_NOW + _HOUR)
        await store.close()

    async def test_a_refresh_token_is_spent_once(self) -> None:
        """Its successor takes its place; a second time the family ends."""
        store = await self.open_store()
        await store.add_family(_family())
        outcome, after = await store.exchange(_exchange(b"token0", b"token1"))
        assert (outcome, after) == (Outcome.ROTATED, await store.family("fam1"))
        assert after is not None
        assert (after.digest, after.previous_digest, after.rotated_at) == (b"token1", b"token0", _NOW)
        assert after.token_expires_at == _NOW + 2 * _HOUR
        outcome, after = await store.exchange(_exchange(b"token0", b"token9"))
        assert (outcome, after) == (Outcome.REUSED, await store.family("fam1"))
        assert (await store.exchange(_exchange(b"token1", b"token2")))[0] is Outcome.REVOKED
        await store.close()

    async def test_a_token_spent_long_ago_still_ends_its_family(self) -> None:
        """However many followed it; a guess that never was a token ends nothing."""
        store = await self.open_store()
        await store.add_family(_family())
        for number in range(5):
            await store.exchange(_exchange(b"token%d" % number, b"token%d" % (number + 1)))
        assert (await store.exchange(_exchange(b"guess", b"x")))[0] is Outcome.UNKNOWN
        assert (await store.exchange(_exchange(b"token1", b"x")))[0] is Outcome.REUSED
        await store.close()

    async def test_of_many_who_present_one_token_one_wins(self) -> None:
        """Whatever the order."""
        store = await self.open_store()
        await store.add_family(_family())
        outcomes = await asyncio.gather(*(store.exchange(_exchange(b"token0", b"next%d" % i)) for i in range(8)))
        assert sum(outcome is Outcome.ROTATED for outcome, _ in outcomes) == 1
        await store.close()

    async def test_families_are_revoked_one_by_one_and_by_subject(self) -> None:
        """The first revocation counts, with its reason."""
        store = await self.open_store()
        for family in (_family("a"), _family("b"), _family("e", subject="eve")):
            await store.add_family(family)
        assert [await store.revoke_family("a", _NOW, "logout") for _ in range(2)] == [True, False]
        assert await store.revoke_families("ada", _NOW + _HOUR, "password changed") == 1
        assert await store.family("a") == replace(_family("a"), revoked_at=_NOW, revoked_because="logout")
        assert await store.family("e") == _family("e", subject="eve")
        await store.close()

    async def test_signing_keys_follow_one_another(self) -> None:
        """Only who knows the newest one adds the next, so of two at once one does."""
        store = await self.open_store()
        assert not await store.add_signing_key(_signing_key("k1"), "k0")
        added = [await store.add_signing_key(_signing_key(kid), None) for kid in ("k1", "k2")]
        assert added == [True, False]
        assert not await store.add_signing_key(_signing_key("k1"), "k1")
        assert await store.add_signing_key(_signing_key("k0"), "k1")
        assert [key.kid for key in await store.signing_keys()] == ["k1", "k0"]
        assert [await store.remove_signing_key("k0") for _ in range(2)] == [True, False]
        assert await store.add_signing_key(_signing_key("k3"), "k1")
        await store.close()

    async def test_a_one_time_value_is_taken_once_and_in_time(self) -> None:
        """At the very moment of its expiry it is gone."""
        store = await self.open_store()
        for name in (b"a", b"b"):
            await store.keep_once(name, "value", _NOW + _HOUR)
        taken = await asyncio.gather(*(store.take_once(b"a", _NOW) for _ in range(8)))
        assert sorted(taken, key=str) == [None] * 7 + ["value"]
        assert await store.take_once(b"b", _NOW + _HOUR) is None
        assert await store.take_once(b"b", _NOW) is None
        await store.close()

    async def test_pruning_forgets_what_has_expired(self) -> None:
        """And nothing else."""
        store = await self.open_store()
        await store.add_key(_key("old"))
        await store.add_key(replace(_key("new"), expires_at=_NOW + 99 * _HOUR))
        await store.add_family(_family())
        await store.exchange(_exchange(b"token0", b"token1"))
        await store.keep_once(b"a", "value", _NOW + _HOUR)
        assert await store.prune(_NOW + _HOUR) == 0
        assert await store.prune(_NOW + 25 * _HOUR) == 3
        assert [key.id for key in await store.keys("mst")] == ["new"]
        assert (await store.family("fam1"), await store.take_once(b"a", _NOW)) == (None, None)
        assert await store.add_family(_family())
        assert (await store.exchange(_exchange(b"token0", b"token1")))[0] is Outcome.ROTATED
        await store.close()

    async def test_closing_twice_is_closing_once(self) -> None:
        """The second time does nothing."""
        store = await self.open_store()
        await store.close()
        await store.close()
