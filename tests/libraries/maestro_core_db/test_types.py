"""The same values come back on both databases."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libraries.maestro_core_db.models import Sample
from sqlalchemy import func, select
from sqlalchemy.exc import StatementError

from maestro_core_db import Database, ExactDecimal

ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(timezones=ZONES).filter(lambda at: 1900 < at.year < 2200)
# No NUL, which PostgreSQL's JSONB does not hold, and no surrogates, which are no text.
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
DATA = st.dictionaries(
    TEXTS,
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63) | TEXTS, lambda inner: st.lists(inner, max_size=3)
    ),
    max_size=4,
)
PRICES = st.decimals(Decimal(-(10**12)) + 1, Decimal(10**12) - 1, allow_nan=False, places=6)


async def stored(database: Database, **values: Any) -> Sample:
    number = uuid4()
    async with database.unit_of_work() as uow:
        uow.session.add(Sample(id=number, **values))
    async with database.session() as session:
        return await session.get_one(Sample, number)


@given(at=MOMENTS | st.none(), price=PRICES | st.none(), data=DATA | st.none())
async def test_what_is_stored_comes_back(
    database: Database, at: datetime | None, price: Decimal | None, data: dict[str, Any] | None
) -> None:
    """Moments in UTC to the microsecond, decimals exactly, JSON and UUID as they were."""
    found = await stored(database, at=at, price=price, data=data)
    assert (found.at, found.price, found.data) == (at, price, data)
    assert found.at is None or found.at.tzinfo is UTC or found.at.utcoffset() == timedelta(0)
    assert isinstance(found.id, UUID)


@pytest.mark.parametrize(
    "values",
    [
        {"at": datetime(2026, 1, 1)},  # noqa: DTZ001 # naive on purpose
        {"price": 1.5},
        {"price": True},
        {"price": Decimal("0.0000001")},
        {"price": Decimal("1.0000000000000000000000000000000000000001")},
        {"price": Decimal(10**12)},
        {"price": Decimal("1E+999999")},
        {"price": Decimal("1E-999999")},
        {"price": Decimal("NaN")},
        {"price": Decimal("Infinity")},
        {"data": {"x": float("nan")}},
    ],
    ids=str,
)
async def test_what_would_change_in_storage_is_refused(database: Database, values: dict[str, Any]) -> None:
    """A naive time, a float for a price, too many digits, NaN: refused, and the value is not quoted."""
    with pytest.raises(StatementError) as caught:
        await stored(database, **values)
    assert isinstance(caught.value.orig, ValueError)


async def test_decimals_sort_compare_and_sum_as_numbers(database: Database) -> None:
    """Nine before ten, on SQLite too."""
    prices = [Decimal("10"), Decimal("9.5"), Decimal("-3"), Decimal("100.000001")]
    async with database.unit_of_work() as uow:
        uow.session.add_all(Sample(price=price) for price in prices)
    async with database.session() as session:
        assert (await session.scalars(select(Sample.price).order_by(Sample.price))).all() == sorted(prices)
        assert await session.scalar(select(func.sum(Sample.price))) == sum(prices)
        assert len((await session.scalars(select(Sample).where(Sample.price > Decimal("9.6")))).all()) == 2


@pytest.mark.parametrize(("precision", "scale"), [(19, 2), (5, 6), (5, -1)])
def test_a_decimal_that_sqlite_cannot_hold_is_refused(precision: int, scale: int) -> None:
    """More than 18 digits do not fit into an integer of 64 bits."""
    with pytest.raises(ValueError, match="precision"):
        ExactDecimal(precision, scale)
