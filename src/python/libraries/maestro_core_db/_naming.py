"""Names for constraints, the same on every database, so that a migration can drop what another one made."""

import datetime
import decimal
import uuid
from types import MappingProxyType
from typing import Any

from sqlalchemy import MetaData, Uuid

from maestro_core_db._types import ExactDecimal, Json, UtcDateTime

NAMING_CONVENTION = MappingProxyType(
    {
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# For `type_annotation_map` of a declarative base.
TYPE_ANNOTATIONS: MappingProxyType[Any, Any] = MappingProxyType(
    {
        datetime.datetime: UtcDateTime(),
        decimal.Decimal: ExactDecimal(18, 6),
        uuid.UUID: Uuid(),
        dict[str, Any]: Json(),
        list[Any]: Json(),
    }
)


def new_metadata() -> MetaData:
    """The metadata of one wheel: constraints are named by the convention, a check has to be given its name."""
    return MetaData(naming_convention=dict(NAMING_CONVENTION))
