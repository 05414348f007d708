"""Keyset pages: each begins after the last row of the one before, so nothing is counted, skipped or shown twice."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from sqlalchemy import Column, ColumnElement, Index, Select, Table, UniqueConstraint, and_, false, literal, or_, tuple_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql import coercions, roles

from maestro_core_db._errors import InvalidPage
from maestro_core_db._position import Position, check_column, from_position, to_position

T = TypeVar("T")
Direction = Literal["asc", "desc"]
Nulls = Literal["first", "last"]
MAX_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class Order:
    """One column of an order; `nulls` must be said where the column may be null, and only there."""

    column: InstrumentedAttribute[Any] | ColumnElement[Any]
    direction: Direction = "asc"
    nulls: Nulls | None = None


@dataclass(frozen=True, slots=True)
class KeysetPage(Generic[T]):
    """The rows of one page, and the position after the last of them: None when there are no more rows."""

    items: list[T]
    next_position: Position | None


@dataclass(frozen=True, slots=True)
class _Key:
    """One column of an order, checked."""

    column: ColumnElement[Any]
    descends: bool
    nulls: Nulls | None

    def ordering(self) -> ColumnElement[Any]:
        way = self.column.desc() if self.descends else self.column.asc()
        if self.nulls is None:
            return way
        return way.nulls_first() if self.nulls == "first" else way.nulls_last()

    def equals(self, value: Any) -> ColumnElement[bool]:
        return self.column.is_(None) if value is None else self.column == value

    def comes_after(self, value: Any) -> ColumnElement[bool]:
        """Strictly later in this order than the value."""
        if value is None:
            return self.column.is_not(None) if self.nulls == "first" else false()
        later = self.column < value if self.descends else self.column > value
        return or_(later, self.column.is_(None)) if self.nulls == "last" else later


async def keyset_page(
    session: AsyncSession,
    statement: Select[*tuple[Any, ...]],
    *,
    order_by: Sequence[Order | tuple[Any, Direction]],
    limit: int,
    after: Sequence[Any] | None = None,
) -> KeysetPage[Any]:
    """The next `limit` rows of a select in an order that ends with unique columns.

    `after` is the `next_position` of the page before (as it was, or after a way through JSON), None begins. Rows that
    are inserted or deleted meanwhile neither repeat nor hide others. Items are objects for `select(Entity)`, else rows.
    Raises InvalidPage for an order that is not total, InvalidPosition for a position that is none of this order.
    """
    keys = _checked(statement, order_by)
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidPage(f"limit: between 1 and {MAX_LIMIT}")
    width = len(statement.column_descriptions)
    if after is not None:
        statement = statement.where(_after(keys, from_position([(key.column, key.nulls) for key in keys], after)))
    marked = statement.add_columns(*(key.column.label(f"position_{n}") for n, key in enumerate(keys)))
    ordered = marked.order_by(*(key.ordering() for key in keys)).limit(limit + 1)
    rows = (await session.execute(ordered)).all()
    items = [row[0] if width == 1 else row[:width] for row in rows[:limit]]
    if len(rows) <= limit:
        return KeysetPage(items, None)
    return KeysetPage(items, to_position([key.column for key in keys], rows[limit - 1][width:]))


def _after(keys: Sequence[_Key], values: Sequence[Any]) -> ColumnElement[bool]:
    """Where a row comes strictly after these values."""
    if len(keys) > 1 and all(key.nulls is None and key.descends == keys[0].descends for key in keys):
        # The form that both databases answer from an index alone.
        row = tuple_(*(key.column for key in keys))
        bound = tuple_(*(literal(value, key.column.type) for key, value in zip(keys, values, strict=True)))
        return row < bound if keys[0].descends else row > bound
    ways: list[ColumnElement[bool]] = []
    same: list[ColumnElement[bool]] = []
    for key, value in zip(keys, values, strict=True):
        ways.append(and_(*same, key.comes_after(value)))
        same.append(key.equals(value))
    first, value = keys[0], values[0]
    if len(keys) == 1 or first.nulls is not None:
        return or_(*ways)
    # Follows from the rest, but tells the database where in the index to begin.
    return and_(first.column <= value if first.descends else first.column >= value, or_(*ways))


def _checked(statement: Select[*tuple[Any, ...]], order_by: Sequence[Order | tuple[Any, Direction]]) -> list[_Key]:
    if statement._order_by_clauses or statement._limit_clause is not None or statement._offset_clause is not None:
        raise InvalidPage("the statement has an order, a limit or an offset of its own: leave these to the page")
    keys = [_key(entry if isinstance(entry, Order) else Order(*entry)) for entry in order_by]
    names: dict[Any, set[str]] = {}
    for key in keys:
        if isinstance(key.column, Column):
            names.setdefault(key.column.table, set()).add(key.column.key)
    if not any(unique <= columns for table, columns in names.items() for unique in _unique_sets(table)):
        raise InvalidPage(
            "order_by: rows may be equal in this order; end it with the primary key, or other unique columns"
        )
    return keys


def _key(order: Order) -> _Key:
    column = coercions.expect(roles.ByOfRole, order.column)
    if order.direction not in ("asc", "desc"):
        raise InvalidPage(f"order_by: a direction is 'asc' or 'desc', not {order.direction!r}")
    if order.nulls not in (None, "first", "last"):
        raise InvalidPage(f"order_by: nulls are 'first' or 'last', not {order.nulls!r}")
    if order.nulls is None and isinstance(column, Column) and column.nullable:
        raise InvalidPage(
            f"order_by: {column.key} may be null, where the databases differ; "
            f"write Order({column.key}, {order.direction!r}, nulls='last') or 'first'"
        )
    check_column(column)
    return _Key(column, order.direction == "desc", order.nulls)


def _unique_sets(table: Any) -> Iterator[set[str]]:
    """The sets of columns of which each row has its own values."""
    table = getattr(table, "element", table)
    if not isinstance(table, Table):
        return
    constraints = [one.columns for one in table.constraints if isinstance(one, UniqueConstraint)]
    indexes = [one.columns for one in table.indexes if one.unique and not _is_partial(one)]
    for columns in (table.primary_key.columns, *constraints, *indexes):
        if len(columns) and not any(column.nullable for column in columns):
            yield {column.key for column in columns}


def _is_partial(index: Index) -> bool:
    wheres = (index.dialect_options[name].get("where") for name in ("postgresql", "sqlite"))
    return any(where is not None for where in wheres) or len(index.columns) != len(index.expressions)
