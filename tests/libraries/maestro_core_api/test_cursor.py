"""Signed cursors: only what was given out is taken back, and only where it was given out for."""

import math
import string
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from maestro_core_api import BadCursor, CursorSigner, InvalidApi

KEY = bytes(range(32))
SIGNER = CursorSigner({"k1": KEY})
VALUES = (
    st.none()
    | st.text(max_size=20)
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.datetimes(timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30))]))
)
POSITIONS = st.lists(VALUES, max_size=4).map(tuple)
FILTERS = st.lists(st.tuples(st.text(max_size=5), st.text(max_size=5)), max_size=3)


@given(POSITIONS, st.text(max_size=20), FILTERS, st.randoms())
def test_a_position_comes_back_as_it_was(position: tuple[object, ...], purpose: str, filters: list, random) -> None:  # type: ignore[no-untyped-def, type-arg]  # drawn
    """The types too: 1 is not 1.0, and a datetime is aware. The order of the filters does not matter."""
    cursor = SIGNER.sign(position, purpose=purpose, filters=filters)  # type: ignore[arg-type]  # drawn
    shuffled = random.sample(filters, len(filters))
    back = SIGNER.read(cursor, purpose=purpose, filters=shuffled)
    assert back == position
    assert [type(value) for value in back] == [type(value) for value in position]


@given(POSITIONS, st.data())
def test_no_bit_of_a_cursor_can_change(position: tuple[object, ...], data: st.DataObject) -> None:
    """Also those bits of base64 that stand for nothing."""
    cursor = SIGNER.sign(position, purpose="p").encode()  # type: ignore[arg-type]  # drawn
    bit = data.draw(st.integers(0, len(cursor) * 8 - 1))
    changed = bytearray(cursor)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(BadCursor):
        SIGNER.read(changed.decode("latin-1"), purpose="p")


def test_not_one_of_all_single_bit_changes_of_one_cursor_is_taken() -> None:
    cursor = SIGNER.sign((datetime(2026, 11, 21, tzinfo=UTC), "order-7", 3, 2.5, None), purpose="p").encode()
    for bit in range(len(cursor) * 8):
        changed = bytearray(cursor)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(BadCursor):
            SIGNER.read(changed.decode("latin-1"), purpose="p")


@given(st.text(st.sampled_from(string.printable + "é€\x00"), max_size=80) | st.from_regex(r"k1\.[\w-]+\.[\w-]{43}"))
def test_no_made_up_text_is_a_cursor(text: str) -> None:
    with pytest.raises(BadCursor):
        SIGNER.read(text, purpose="p")


@given(st.text(max_size=8), st.text(max_size=8), FILTERS, FILTERS)
def test_a_cursor_is_good_for_its_own_listing_and_filters_only(purpose: str, other: str, filters, others) -> None:  # type: ignore[no-untyped-def]  # drawn
    assume(purpose != other or sorted(filters) != sorted(others))
    cursor = SIGNER.sign((1,), purpose=purpose, filters=filters)
    with pytest.raises(BadCursor):
        SIGNER.read(cursor, purpose=other, filters=others)


def test_keys_rotate_without_breaking_what_was_given_out() -> None:
    """The first key signs; all are taken; a dropped one is not; one name with another secret is not."""
    old = CursorSigner({"old": KEY})
    both = CursorSigner({"new": b"n" * 32, "old": KEY})
    new = CursorSigner({"new": b"n" * 32})
    given_out = old.sign((1,), purpose="p")
    assert both.read(given_out, purpose="p") == (1,)
    fresh = both.sign((2,), purpose="p")
    assert fresh.startswith("new.")
    assert new.read(fresh, purpose="p") == (2,)
    for signer, cursor in ((new, given_out), (CursorSigner({"old": b"x" * 32}), given_out), (old, fresh)):
        with pytest.raises(BadCursor):
            signer.read(cursor, purpose="p")


def test_a_cursor_dies_at_its_age_and_not_before() -> None:
    now = [datetime(2026, 11, 21, tzinfo=UTC)]
    signer = CursorSigner({"k": KEY}, max_age_s=60, now=lambda: now[0])
    cursor = signer.sign((1,), purpose="p")
    now[0] += timedelta(seconds=59, microseconds=999_999)
    assert signer.read(cursor, purpose="p") == (1,)
    now[0] += timedelta(microseconds=1)
    with pytest.raises(BadCursor, match="too old"):
        signer.read(cursor, purpose="p")


@pytest.mark.parametrize(
    "value", [math.nan, math.inf, datetime.fromisoformat("2026-01-01"), True, b"x", [1], "x" * 3000]
)
def test_what_cannot_be_a_position_is_refused_when_it_is_signed(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        SIGNER.sign((value,), purpose="p")  # type: ignore[arg-type]  # the point


@pytest.mark.parametrize(
    "keys", [{}, {"": KEY}, {"a.b": KEY}, {"k" * 17: KEY}, {"k": b"short"}, {"good": KEY, "bad": b""}]
)
def test_weak_keys_and_wrong_names_are_refused(keys: dict[str, bytes]) -> None:
    with pytest.raises(InvalidApi):
        CursorSigner(keys)


@pytest.mark.parametrize("max_age_s", [0, -1, math.inf, math.nan])
def test_an_age_is_a_positive_number(max_age_s: float) -> None:
    with pytest.raises(InvalidApi):
        CursorSigner({"k": KEY}, max_age_s=max_age_s)


def test_no_secret_is_shown() -> None:
    assert "secret" not in repr(CursorSigner({"k": b"secret" * 6}))
    assert "'k'" in repr(CursorSigner({"k": b"secret" * 6}))
