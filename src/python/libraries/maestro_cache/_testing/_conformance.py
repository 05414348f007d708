"""What every store promises, as scenarios that run against anyone's."""

from collections.abc import Sequence
from contextlib import aclosing

from maestro_cache._decide import Outcome, Raised, Value
from maestro_cache._store import AsyncStore, Claim, Draft

_TAGS = ("space:all", "space:tag:a")


def draft(value: object = "v", *, fresh_s: float = 10.0, stale_s: float = 5.0) -> Draft:
    """A value to store."""
    return Draft(Value(value), fresh_s, stale_s, 0.25)


async def stored(store: AsyncStore, key: str, value: object = "v", tags: Sequence[str] = _TAGS) -> Claim:
    """Store a value as a cache does."""
    claim = await store.claim(key, tags, 30.0)
    assert await store.write(key, draft(value), claim)
    return claim


async def found(store: AsyncStore, key: str, tags: Sequence[str] = _TAGS) -> Outcome | None:
    """What the store holds."""
    entry = (await store.read(key, tags)).entry
    return None if entry is None else entry.outcome


class CacheStoreConformance:
    """Derive a test class from it and say how your store is opened, and how its time passes; pytest with asyncio does
    the rest. A store for threads is given as `Immediate(store)`.

    Times may be off by `tolerance_s`; every scenario opens one empty store.
    """

    tolerance_s = 0.0

    def open_store(self) -> AsyncStore:
        """An empty store."""
        raise NotImplementedError

    async def pass_time(self, delay_s: float) -> None:
        """Have that much time pass for the entries and leases of the store."""
        raise NotImplementedError

    async def test_an_empty_store_holds_nothing_and_knows_no_tokens(self) -> None:
        async with aclosing(self.open_store()) as store:
            reading = await store.read("k", _TAGS)
            assert reading.entry is None
            assert reading.problem is None
            assert dict(reading.stamps) == {"k": None, **dict.fromkeys(_TAGS)}

    async def test_an_entry_keeps_its_value_and_its_times(self) -> None:
        async with aclosing(self.open_store()) as store:
            await stored(store, "k", {"a": [1, 2.5, None, True, "ü"]})
            entry = (await store.read("k", _TAGS)).entry
            assert entry is not None
            assert entry.outcome == Value({"a": [1, 2.5, None, True, "ü"]})
            assert entry.compute_s == 0.25
            assert abs(entry.fresh_until_s - store.now_s() - 10.0) <= self.tolerance_s
            assert abs(entry.served_until_s - entry.fresh_until_s - 5.0) <= self.tolerance_s

    async def test_an_entry_ends_when_its_whole_life_is_over(self) -> None:
        async with aclosing(self.open_store()) as store:
            await stored(store, "k")
            await self.pass_time(12.0)
            entry = (await store.read("k", _TAGS)).entry
            assert entry is not None, "it is stale now, and still there"
            assert entry.fresh_until_s < store.now_s() < entry.served_until_s
            await self.pass_time(4.0)
            assert await found(store, "k") is None

    async def test_a_kept_error_keeps_its_name_and_arguments(self) -> None:
        async with aclosing(self.open_store()) as store:
            claim = await store.claim("k", _TAGS, None)
            outcome = Raised("builtins.KeyError", ("no such user", 7))
            assert await store.write("k", Draft(outcome, 5.0, 0.0, 0.0), claim)
            assert await found(store, "k") == outcome

    async def test_keys_do_not_mix(self) -> None:
        async with aclosing(self.open_store()) as store:
            await stored(store, "k1", 1)
            await stored(store, "k2", 2)
            await store.invalidate(("k1",), ())
            assert await found(store, "k1") is None
            assert await found(store, "k2") == Value(2)

    async def test_each_write_gives_a_new_id(self) -> None:
        async with aclosing(self.open_store()) as store:
            ids = set()
            for _ in range(3):
                await stored(store, "k")
                entry = (await store.read("k", _TAGS)).entry
                assert entry is not None
                ids.add(entry.id)
            assert len(ids) == 3

    async def test_invalidating_a_tag_ends_its_entries_at_once_and_no_others(self) -> None:
        async with aclosing(self.open_store()) as store:
            await stored(store, "k1", 1, ("all", "a"))
            await stored(store, "k2", 2, ("all", "b"))
            await stored(store, "k3", 3, ("all", "a", "b"))
            await store.invalidate((), ("a",))
            assert await found(store, "k1", ("all",)) is None, "also for a reader who does not name the tag"
            assert await found(store, "k2", ("all", "b")) == Value(2)
            assert await found(store, "k3", ("all", "a", "b")) is None
            await store.invalidate((), ("all",))
            assert await found(store, "k2", ("all", "b")) is None

    async def test_a_tag_can_be_used_again_after_its_invalidation(self) -> None:
        async with aclosing(self.open_store()) as store:
            await stored(store, "k", 1)
            await store.invalidate((), _TAGS)
            await stored(store, "k", 2)
            assert await found(store, "k") == Value(2)

    async def test_what_was_computed_before_an_invalidation_is_not_stored_after_it(self) -> None:
        async with aclosing(self.open_store()) as store:
            for keys, tags in ((("k",), ()), ((), _TAGS[:1]), ((), _TAGS[1:]), (("k", "other"), ("unknown", _TAGS[0]))):
                claim = await store.claim("k", _TAGS, 30.0)
                await store.invalidate(keys, tags)
                assert not await store.write("k", draft(), claim)
                assert await found(store, "k") is None

    async def test_what_was_computed_before_a_deletion_does_not_replace_what_came_after(self) -> None:
        async with aclosing(self.open_store()) as store:
            late = await store.claim("k", _TAGS, None)
            await store.invalidate(("k",), ())
            await stored(store, "k", "new")
            assert not await store.write("k", draft("old"), late)
            assert await found(store, "k") == Value("new")

    async def test_tokens_tell_whether_something_was_invalidated_in_between(self) -> None:
        async with aclosing(self.open_store()) as store:
            claim = await store.claim("k", _TAGS, 30.0)
            assert dict((await store.read("k", _TAGS)).stamps) == dict(claim.stamps)
            await store.invalidate((), _TAGS[1:])
            after = (await store.read("k", _TAGS)).stamps
            assert after["k"] == claim.stamps["k"]
            assert after[_TAGS[0]] == claim.stamps[_TAGS[0]]
            assert after[_TAGS[1]] not in (None, claim.stamps[_TAGS[1]])
            await store.invalidate(("k",), ())
            assert (await store.read("k", _TAGS)).stamps["k"] not in (None, claim.stamps["k"])

    async def test_a_lease_is_granted_to_one_until_it_is_given_back(self) -> None:
        async with aclosing(self.open_store()) as store:
            first = await store.claim("k", _TAGS, 30.0)
            second = await store.claim("k", _TAGS, 30.0)
            assert (first.granted, second.granted) == (True, False)
            assert (await store.claim("other", _TAGS, 30.0)).granted
            await store.release("k", second)
            assert not (await store.claim("k", _TAGS, 30.0)).granted, "who does not have it cannot give it back"
            await store.release("k", first)
            assert (await store.claim("k", _TAGS, 30.0)).granted

    async def test_a_write_ends_the_lease_also_when_it_comes_too_late(self) -> None:
        async with aclosing(self.open_store()) as store:
            await stored(store, "k")
            claim = await store.claim("k", _TAGS, 30.0)
            assert claim.granted
            await store.invalidate((), _TAGS)
            assert not await store.write("k", draft(), claim)
            assert (await store.claim("k", _TAGS, 30.0)).granted

    async def test_a_deletion_ends_the_lease_and_leaves_the_next_one_alone(self) -> None:
        async with aclosing(self.open_store()) as store:
            outdated = await store.claim("k", _TAGS, 30.0)
            await store.invalidate(("k",), ())
            assert (await store.claim("k", _TAGS, 30.0)).granted
            assert not await store.write("k", draft(), outdated)
            assert not (await store.claim("k", _TAGS, 30.0)).granted

    async def test_a_lease_passes_on_when_its_time_is_over(self) -> None:
        async with aclosing(self.open_store()) as store:
            slow = await store.claim("k", _TAGS, 2.0)
            await self.pass_time(2.5)
            next_one = await store.claim("k", _TAGS, 30.0)
            assert next_one.granted
            await store.release("k", slow)
            assert not (await store.claim("k", _TAGS, 30.0)).granted, "the slow one no longer has it"
            assert await store.write("k", draft("late"), slow), "nothing was invalidated, so its value is good"

    async def test_without_a_lease_everybody_may_compute(self) -> None:
        async with aclosing(self.open_store()) as store:
            claims = [await store.claim("k", _TAGS, None) for _ in range(3)]
            assert all(claim.granted for claim in claims)
            assert (await store.claim("k", _TAGS, 30.0)).granted

    async def test_a_claim_gives_the_entry_that_somebody_has_written_meanwhile(self) -> None:
        async with aclosing(self.open_store()) as store:
            await stored(store, "k", 7)
            claim = await store.claim("k", _TAGS, 30.0)
            assert claim.entry is not None
            assert claim.entry.outcome == Value(7)
