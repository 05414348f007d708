"""What every store of idempotency keys promises, as tests that run against anyone's."""

import asyncio
from contextlib import AbstractAsyncContextManager
from datetime import timedelta
from pathlib import Path
from typing import Final

from maestro_core_api._idempotency_law import Claim, IdempotencyStore, KeptAnswer, KeyState
from maestro_core_api._manual_clock import ManualClock

_LEASE_S: Final = 60.0
_RETENTION_S: Final = 3600.0
_LEASE: Final = timedelta(seconds=_LEASE_S)
_RETENTION: Final = timedelta(seconds=_RETENTION_S)
_ANSWER: Final = KeptAnswer(201, (("content-type", "application/json"), ("location", "/orders/7")), b'{"id":7}')
_SHORTLY_S: Final = 0.001


async def _begin(store: IdempotencyStore, token: str, *, key: str = "k", fingerprint: str = "f") -> Claim:
    return await store.begin(key, fingerprint, token, lease=_LEASE, retention=_RETENTION)


async def _finish(store: IdempotencyStore, token: str, *, key: str = "k", answer: KeptAnswer = _ANSWER) -> bool:
    return await store.finish(key, token, answer, retention=_RETENTION)


class IdempotencyConformance:
    """Derive a test class from it and say how your store is opened; pytest with asyncio in auto mode does the rest.

    `open_store` gives the store of a folder, empty when the folder is; its times are those of the clock.
    """

    def open_store(self, folder: Path, clock: ManualClock) -> AbstractAsyncContextManager[IdempotencyStore]:
        """The store that is tested."""
        raise NotImplementedError

    async def test_the_first_begins_and_the_next_waits_until_it_has_its_answer(self, tmp_path: Path) -> None:
        """And then gets that answer, as often as it asks, byte for byte."""
        clock = ManualClock()
        async with self.open_store(tmp_path, clock) as store:
            assert await _begin(store, "one") == Claim(KeyState.BEGUN)
            clock.advance(10)
            waiting = await _begin(store, "two")
            assert waiting.state is KeyState.IN_FLIGHT
            assert abs(waiting.lease_left_s - (_LEASE_S - 10)) < _SHORTLY_S
            assert await _finish(store, "one")
            for token in ("two", "three"):
                assert await _begin(store, token) == Claim(KeyState.ANSWERED, answer=_ANSWER)

    async def test_every_byte_of_an_answer_is_kept(self, tmp_path: Path) -> None:
        """Empty ones and those of every byte; headers in their order, also several of one name."""
        clock = ManualClock()
        headers = (("link", "<?a>"), ("etag", '"é\\"'), ("link", "<?b>"))
        answers = [KeptAnswer(204, (), b""), KeptAnswer(409, headers, bytes(range(256)) * 40)]
        async with self.open_store(tmp_path, clock) as store:
            for number, answer in enumerate(answers):
                await _begin(store, "one", key=f"k{number}")
                assert await _finish(store, "one", key=f"k{number}", answer=answer)
                assert (await _begin(store, "two", key=f"k{number}")).answer == answer

    async def test_another_request_with_the_key_is_found_out(self, tmp_path: Path) -> None:
        """While the first runs, after its lease, and when it has its answer."""
        clock = ManualClock()
        async with self.open_store(tmp_path, clock) as store:
            await _begin(store, "one")
            assert (await _begin(store, "two", fingerprint="other")).state is KeyState.REUSED
            clock.advance(_LEASE_S)
            assert (await _begin(store, "two", fingerprint="other")).state is KeyState.REUSED
            await _finish(store, "one")
            assert (await _begin(store, "two", fingerprint="other")).state is KeyState.REUSED

    async def test_keys_do_not_know_each_other(self, tmp_path: Path) -> None:
        clock = ManualClock()
        async with self.open_store(tmp_path, clock) as store:
            await _begin(store, "one", key="a")
            assert await _begin(store, "one", key="b", fingerprint="other") == Claim(KeyState.BEGUN)
            await _finish(store, "one", key="a")
            assert (await _begin(store, "two", key="b", fingerprint="other")).state is KeyState.IN_FLIGHT

    async def test_a_lease_that_lapsed_goes_to_one_and_the_first_has_lost_it(self, tmp_path: Path) -> None:
        """The late first neither gives the answer nor takes the key away; the new holder does."""
        clock = ManualClock()
        async with self.open_store(tmp_path, clock) as store:
            await _begin(store, "one")
            clock.advance(_LEASE_S - _SHORTLY_S)
            assert (await _begin(store, "two")).state is KeyState.IN_FLIGHT
            clock.advance(_SHORTLY_S * 2)
            assert await _begin(store, "two") == Claim(KeyState.BEGUN)
            assert (await _begin(store, "three")).state is KeyState.IN_FLIGHT
            assert not await _finish(store, "one", answer=KeptAnswer(200, (), b"late"))
            assert not await store.abandon("k", "one")
            assert (await _begin(store, "three")).state is KeyState.IN_FLIGHT
            assert await _finish(store, "two")
            assert (await _begin(store, "three")).answer == _ANSWER

    async def test_a_lease_that_lapsed_unnoticed_still_takes_its_answer(self, tmp_path: Path) -> None:
        clock = ManualClock()
        async with self.open_store(tmp_path, clock) as store:
            await _begin(store, "one")
            clock.advance(_LEASE_S * 2)
            assert await _finish(store, "one")
            assert (await _begin(store, "two")).answer == _ANSWER

    async def test_what_is_abandoned_is_as_if_it_had_never_been(self, tmp_path: Path) -> None:
        """For the same request and for another one; but an answer cannot be abandoned."""
        clock = ManualClock()
        async with self.open_store(tmp_path, clock) as store:
            await _begin(store, "one")
            assert await store.abandon("k", "one")
            assert not await store.abandon("k", "one")
            assert not await _finish(store, "one")
            assert await _begin(store, "two", fingerprint="other") == Claim(KeyState.BEGUN)
            assert await store.finish("k", "two", _ANSWER, retention=_RETENTION)
            assert not await store.abandon("k", "two")
            assert not await _finish(store, "two", answer=KeptAnswer(200, (), b"again"))
            assert (await _begin(store, "three", fingerprint="other")).answer == _ANSWER

    async def test_an_answer_is_kept_for_its_retention_and_not_longer(self, tmp_path: Path) -> None:
        """Counted from the answer; a key without one, from its beginning."""
        clock = ManualClock()
        async with self.open_store(tmp_path, clock) as store:
            await _begin(store, "one")
            await _begin(store, "one", key="dead")
            clock.advance(50)
            await _finish(store, "one")
            clock.advance(_RETENTION_S - _SHORTLY_S)
            assert (await _begin(store, "two")).answer == _ANSWER
            assert await _begin(store, "two", key="dead", fingerprint="other") == Claim(KeyState.BEGUN)
            clock.advance(_SHORTLY_S * 2)
            assert await _begin(store, "two", fingerprint="other") == Claim(KeyState.BEGUN)

    async def test_of_a_hundred_at_once_one_begins(self, tmp_path: Path) -> None:
        clock = ManualClock()
        async with self.open_store(tmp_path, clock) as store:
            claims = await asyncio.gather(*(_begin(store, f"t{number}") for number in range(100)))
            states = [claim.state for claim in claims]
            assert states.count(KeyState.BEGUN) == 1
            assert states.count(KeyState.IN_FLIGHT) == 99
            holder = f"t{states.index(KeyState.BEGUN)}"
            kept = await asyncio.gather(*(_finish(store, f"t{number}") for number in range(100)))
            assert [f"t{number}" for number, done in enumerate(kept) if done] == [holder]
