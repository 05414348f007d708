"""Keyset pages against a list: every order, nulls, inserts and deletes between pages, and no sort by the database."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Index, Integer, String, UniqueConstraint, delete, func, insert, select, text
from sqlalchemy.orm import DeclarativeBase, Mapped, aliased, mapped_column
from sqlalchemy.types import LargeBinary

from maestro_core_db import (
    TYPE_ANNOTATIONS,
    Database,
    InvalidPage,
    InvalidPosition,
    KeysetPage,
    Order,
    keyset_page,
    new_metadata,
)


class Base(DeclarativeBase):
    """The tables of this file."""

    metadata = new_metadata()
    type_annotation_map = TYPE_ANNOTATIONS


class Item(Base):
    """Something to be listed, in many orders."""

    __tablename__ = "item"
    __table_args__ = (
        Index("ix_item_a_id", "a", "id"),
        Index("ix_item_mixed", text("a DESC"), text("id ASC")),
        UniqueConstraint("code"),
    )
    id: Mapped[int] = mapped_column(Integer, primary_key=True)
    a: Mapped[int]
    b: Mapped[int | None]
    name: Mapped[str | None] = mapped_column(String(50))
    at: Mapped[datetime]
    price: Mapped[Decimal | None]
    code: Mapped[UUID]
    raw: Mapped[bytes | None] = mapped_column(LargeBinary)


@pytest.fixture(autouse=True)
async def _tables(database: Database) -> None:
    async with database.engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)


START = datetime(2026, 1, 1, tzinfo=UTC)


def row(number: int, values: tuple[int, int | None, str | None, int, int | None]) -> dict[str, Any]:
    a, b, name, at, price = values
    return {
        "id": number,
        "a": a,
        "b": b,
        "name": name,
        "at": START + timedelta(microseconds=at),
        "price": None if price is None else Decimal(price) / 8,
        "code": UUID(int=number * 7919 % 1000),
    }


SMALL = st.integers(-2, 2)
VALUES = st.tuples(SMALL, SMALL | st.none(), st.sampled_from(["", "a", "B", "é", None]), SMALL, SMALL | st.none())
COLUMNS = st.lists(st.sampled_from(["a", "b", "name", "at", "price"]), unique=True, max_size=3)
DIRECTIONS = st.lists(st.tuples(st.sampled_from(["asc", "desc"]), st.sampled_from(["first", "last"])), min_size=4)
NULLABLE = {"b", "name", "price"}


def orders(columns: list[str], ways: list[tuple[Any, Any]], last: str) -> list[Order]:
    return [
        Order(getattr(Item, name), direction, nulls if name in NULLABLE else None)
        for name, (direction, nulls) in zip([*columns, last], ways, strict=False)
    ]


def model_order(rows: list[dict[str, Any]], order_by: list[Order]) -> list[int]:
    """The ids in the order that a list would have: sorted by the last column first."""
    for order in reversed(order_by):
        name = order.column.key
        assert name is not None
        some = [one for one in rows if one[name] is not None]
        none = [one for one in rows if one[name] is None]

        def value(one: dict[str, Any], name: str = name) -> Any:
            found = one[name]
            return found.encode() if isinstance(found, str) else found

        some.sort(key=value, reverse=order.direction == "desc")
        rows = none + some if order.nulls == "first" else some + none
    return [one["id"] for one in rows]


async def refill(database: Database, rows: list[dict[str, Any]]) -> None:
    async with database.unit_of_work() as uow:
        await uow.session.execute(delete(Item))
        if rows:
            await uow.session.execute(insert(Item), rows)


async def page(database: Database, order_by: Any, limit: int, after: Any) -> KeysetPage[Any]:
    async with database.session() as session:
        found = await keyset_page(session, select(Item), order_by=order_by, limit=limit, after=after)
    return KeysetPage([item.id for item in found.items], json.loads(json.dumps(found.next_position)))


@given(
    values=st.lists(VALUES, max_size=14),
    columns=COLUMNS,
    ways=DIRECTIONS,
    last=st.sampled_from(["id", "code"]),
    limit=st.integers(1, 6),
)
async def test_pages_are_the_sorted_list_cut_up(
    database: Database, values: list[Any], columns: list[str], ways: list[Any], last: str, limit: int
) -> None:
    """Any columns, directions and places of nulls: all pages together are the list, each as long as it can be."""
    rows = [row(number, one) for number, one in enumerate(values)]
    await refill(database, rows)
    order_by = orders(columns, ways, last)
    seen: list[list[int]] = []
    after = None
    while True:
        found = await page(database, order_by, limit, after)
        seen.append(found.items)
        after = found.next_position
        if after is None:
            break
    wanted = model_order(rows, order_by)
    assert seen == [wanted[start : start + limit] for start in range(0, max(len(wanted), 1), limit)]


@given(
    values=st.lists(VALUES, min_size=6, max_size=14),
    columns=COLUMNS,
    ways=DIRECTIONS,
    limit=st.integers(1, 4),
    changes=st.lists(st.tuples(st.booleans(), st.integers(0, 13), VALUES), max_size=8),
)
async def test_what_stays_is_seen_once_whatever_comes_and_goes(
    database: Database, values: list[Any], columns: list[str], ways: list[Any], limit: int, changes: list[Any]
) -> None:
    """Rows are inserted and deleted between the pages: those that were there all the time come once, in order."""
    rows = {number: row(number, one) for number, one in enumerate(values)}
    await refill(database, list(rows.values()))
    order_by = orders(columns, ways, "id")
    stayed, seen, after, new = set(rows), [], None, 100
    while True:
        found = await page(database, order_by, limit, after)
        seen += found.items
        after = found.next_position
        if after is None:
            break
        if changes:
            inserts, victim, one = changes.pop()
            async with database.unit_of_work() as uow:
                if inserts:
                    new += 1
                    rows[new] = row(new, one)
                    await uow.session.execute(insert(Item), [rows[new]])
                else:
                    stayed.discard(victim)
                    await uow.session.execute(delete(Item).where(Item.id == victim))
    assert len(seen) == len(set(seen))
    wanted = [number for number in model_order(list(rows.values()), order_by) if number in stayed]
    assert [number for number in seen if number in stayed] == wanted


async def test_rows_joins_and_aliases(database: Database) -> None:
    """A select of columns gives rows without what the page added; an alias can be ordered by."""
    await refill(database, [row(number, (number % 2, None, None, 0, None)) for number in range(5)])
    other = aliased(Item)
    async with database.session() as session:
        found = await keyset_page(session, select(Item.id, Item.a), order_by=[(Item.id, "desc")], limit=2)
        assert [tuple(one) for one in found.items] == [(4, 0), (3, 1)]
        assert found.next_position == (3,)
        alias = await keyset_page(session, select(other), order_by=[(other.a, "asc"), (other.id, "asc")], limit=9)
        assert [one.id for one in alias.items] == [0, 2, 4, 1, 3]
        assert alias.next_position is None


@pytest.mark.parametrize(
    ("order_by", "problem"),
    [
        ([], "end it with the primary key"),
        ([(Item.a, "asc")], "end it with the primary key"),
        ([(Item.b, "asc"), (Item.id, "asc")], "may be null"),
        ([(Item.id, "up")], "direction"),
        ([Order(Item.id, "asc", "middle")], "nulls are"),  # type: ignore[arg-type] # on purpose
        ([Order(Item.raw, "asc", "last"), Order(Item.id)], "no place in a position"),
    ],
)
async def test_orders_that_are_not_total_are_refused(database: Database, order_by: Any, problem: str) -> None:
    """With what to write instead."""
    async with database.session() as session:
        with pytest.raises(InvalidPage, match=problem):
            await keyset_page(session, select(Item), order_by=order_by, limit=1)


async def test_limits_and_statements_are_checked(database: Database) -> None:
    """No page of nothing, none of everything, and no order beside the page's own."""
    async with database.session() as session:
        for limit in (0, -1, 10_001):
            with pytest.raises(InvalidPage, match="limit"):
                await keyset_page(session, select(Item), order_by=[(Item.id, "asc")], limit=limit)
        for statement in (select(Item).order_by(Item.a), select(Item).limit(3), select(Item).offset(3)):
            with pytest.raises(InvalidPage, match="of its own"):
                await keyset_page(session, statement, order_by=[(Item.id, "asc")], limit=1)


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3)
)


@given(position=st.lists(ANYTHING, min_size=4, max_size=4) | ANYTHING)
async def test_any_position_is_answered_or_refused(database: Database, position: Any) -> None:
    """Whatever comes in: a page, or InvalidPosition; never an error of the database."""
    order_by = [Order(Item.name, "asc", "last"), Order(Item.at), Order(Item.price, "desc", "first"), Order(Item.id)]
    async with database.session() as session:
        with suppress(InvalidPosition):
            found = await keyset_page(session, select(Item), order_by=order_by, limit=1, after=position)
            assert found.items == []


@pytest.mark.parametrize(
    "position",
    [
        ("a", "2026-01-01T00:00:00", None, 1),
        ("a", "yesterday", None, 1),
        ("a", "2026-01-01T00:00:00+00:00", "1E+99", 1),
        ("a", "2026-01-01T00:00:00+00:00", "NaN", 1),
        ("a", "2026-01-01T00:00:00+00:00", None, True),
        ("a", "2026-01-01T00:00:00+00:00", None, 2**31),
        ("a", "2026-01-01T00:00:00+00:00", None, None),
        ("\0", "2026-01-01T00:00:00+00:00", None, 1),
        ("\ud800", "2026-01-01T00:00:00+00:00", None, 1),
        ("a" * 10_001, "2026-01-01T00:00:00+00:00", None, 1),
        ("a", 1, None, 1),
        ("a",),
        "abcd",
    ],
)
async def test_positions_that_fit_no_column_are_refused(database: Database, position: Any) -> None:
    """Naive times, other types, too large numbers, null where there is none, text that is none."""
    order_by = [Order(Item.name, "asc", "last"), Order(Item.at), Order(Item.price, "desc", "first"), Order(Item.id)]
    async with database.session() as session:
        with pytest.raises(InvalidPosition):
            await keyset_page(session, select(Item), order_by=order_by, limit=1, after=position)


@pytest.mark.parametrize(
    "order_by",
    [[(Item.a, "asc"), (Item.id, "asc")], [(Item.a, "desc"), (Item.id, "desc")], [(Item.a, "desc"), (Item.id, "asc")]],
    ids=["asc", "desc", "mixed"],
)
async def test_a_page_deep_in_a_large_table_is_read_from_an_index(database: Database, order_by: Any) -> None:
    """100,000 rows: the plan holds an index and no sort, in one direction and in mixed ones."""
    fill = """
    WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 99999)
    INSERT INTO item (id, a, at, code) SELECT i, i % 1000, {at}, {code} FROM n
    """
    sqlite = database.kind == "sqlite"
    at = "'2026-01-01 00:00:00.000000'" if sqlite else "now()"
    code = "printf('%032x', i)" if sqlite else "lpad(to_hex(i), 32, '0')::uuid"
    async with database.engine.begin() as connection:
        await connection.execute(text(fill.format(at=at, code=code)))
        await connection.execute(text("ANALYZE"))
    plans: list[str] = []
    async with database.session() as session:
        original = session.execute

        async def explained(statement: Any) -> Any:
            compiled = statement.compile(
                dialect=database.engine.dialect, compile_kwargs={"literal_binds": True, "render_postcompile": True}
            )
            prefix = "EXPLAIN QUERY PLAN " if sqlite else "EXPLAIN "
            plans.extend(" ".join(map(str, line)) for line in await original(text(prefix + str(compiled))))
            return await original(statement)

        session.execute = explained  # type: ignore[assignment,method-assign] # to see the very statement
        found = await keyset_page(session, select(Item), order_by=order_by, limit=50, after=(500, 50_500))
        assert len(found.items) == 50
        assert await session.scalar(select(func.count()).select_from(Item)) == 100_000
    plan = "\n".join(plans)
    assert "ix_item" in plan
    assert "Sort" not in plan
    assert "TEMP B-TREE" not in plan
