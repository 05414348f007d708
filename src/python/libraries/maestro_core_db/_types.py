"""Column types that hold the same values on SQLite and PostgreSQL."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Numeric
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.types import TypeDecorator, TypeEngine

_MAX_DIGITS = 18  # what fits into the 64 bits of an integer of SQLite


class UtcDateTime(TypeDecorator[datetime]):
    """An aware moment, stored and read in UTC with microseconds; a naive one is refused."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None or value.utcoffset() is None:
            raise ValueError("a naive datetime says no moment; give it a time zone, as datetime.now(UTC) has")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        # SQLite keeps the text of what was bound above, without a zone.
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class ExactDecimal(TypeDecorator[Decimal]):
    """A decimal number with `scale` digits after the point and at most `precision` (up to 18) in all.

    NUMERIC on PostgreSQL, a whole number of the smallest unit on SQLite: there too it compares, sorts and sums exactly.
    A value that does not fit is refused, never rounded.
    """

    impl = Numeric
    cache_ok = True

    def __init__(self, precision: int, scale: int) -> None:
        if not 0 <= scale <= precision <= _MAX_DIGITS:
            raise ValueError(f"scale and precision must satisfy 0 <= scale <= precision <= {_MAX_DIGITS}")
        super().__init__(precision, scale)
        self.precision = precision
        self.scale = scale

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        wanted: TypeEngine[Any] = BigInteger() if dialect.name == "sqlite" else Numeric(self.precision, self.scale)
        return dialect.type_descriptor(wanted)

    def process_bind_param(self, value: Decimal | int | None, dialect: Dialect) -> Decimal | int | None:
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, Decimal | int):
            raise ValueError(f"{type(value).__name__} is not exact; give a Decimal or an int")
        number = Decimal(value)
        units = self._units(number)
        if units is None:
            raise ValueError(f"the number does not fit into {self.precision} digits, {self.scale} after the point")
        return units if dialect.name == "sqlite" else number

    def fits(self, number: Decimal) -> bool:
        """Whether the number can be stored."""
        return self._units(number) is not None

    def _units(self, number: Decimal) -> int | None:
        # The first look keeps 1E+999999999 from being written out.
        if number.is_finite() and (not number or abs(number.adjusted()) <= _MAX_DIGITS):
            units = Fraction(number) * 10**self.scale
            if units.denominator == 1 and abs(units) < 10**self.precision:
                return int(units)
        return None

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        if value is None:
            return None
        return Decimal(value).scaleb(-self.scale) if dialect.name == "sqlite" else Decimal(value)


class Json(TypeDecorator[Any]):
    """Data as JSON: JSONB on PostgreSQL, text on SQLite; Python's None is SQL's NULL, and NaN is refused."""

    impl = JSON
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        kind: type[JSON] = JSONB if dialect.name == "postgresql" else JSON
        return dialect.type_descriptor(kind(none_as_null=True))


def json_text(value: object) -> str:
    """Strict JSON in UTF-8; raises ValueError for NaN and infinities, which JSON does not have."""
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def utc_now() -> datetime:
    """The wall clock."""
    return datetime.now(UTC)
