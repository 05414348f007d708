"""Optimistic locks: a row carries its version, and whoever changes it says which version was read."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Integer, and_, event, inspect, select, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Mapped, Mapper, Session, declared_attr, mapped_column
from sqlalchemy.orm.exc import StaleDataError

from maestro_core_db._errors import StaleVersion, WrongUse


class Versioned:
    """Mixin of a mapped class: `version` is 1 at first, and every change of the row adds 1 and demands the one read."""

    version: Mapped[int] = mapped_column(Integer, nullable=False)

    @declared_attr.directive
    def __mapper_args__(cls) -> dict[str, Any]:  # noqa: N805, RUF100 # SQLAlchemy calls it with the class
        return {"version_id_col": cls.version}


def check_version(entity: Versioned, expected_version: int) -> None:
    """Raise StaleVersion unless the loaded object is at the version that a client has seen, as If-Match says."""
    if entity.version != expected_version:
        mapper: Mapper[Any] = inspect(type(entity))
        raise StaleVersion(
            type(entity).__name__,
            tuple(mapper.primary_key_from_instance(entity)),
            expected_version=expected_version,
            current_version=entity.version,
        )


async def update_versioned(
    session: AsyncSession,
    entity: type[Versioned],
    key: Sequence[object],
    expected_version: int,
    values: Mapping[str, Any],
) -> int:
    """`UPDATE … WHERE version = expected_version`; the new version. Raises StaleVersion with what is there now.

    `key` is the primary key, in the order of its columns. An object of the same row in the session is not refreshed.
    """
    mapper: Mapper[Any] = inspect(entity)
    if len(mapper.primary_key) != len(key) or "version" in values:
        raise WrongUse(f"{entity.__name__}: give the whole primary key, and leave the version to this function")
    here = and_(*(column == part for column, part in zip(mapper.primary_key, key, strict=True)))
    done: Any = await session.execute(
        update(entity)
        .where(here, mapper.columns["version"] == expected_version)
        .values({**values, "version": expected_version + 1}),
        execution_options={"synchronize_session": False},
    )
    if done.rowcount == 1:
        return expected_version + 1
    current = (await session.execute(select(mapper.columns["version"]).where(here))).scalar_one_or_none()
    raise StaleVersion(entity.__name__, tuple(key), expected_version=expected_version, current_version=current)


class VersionWatch:
    """Remembers which versions a flush demanded, to say afterwards which of them was stale."""

    def __init__(self, session: AsyncSession) -> None:
        self._demanded: list[tuple[Mapper[Any], tuple[object, ...], int]] = []
        event.listen(session.sync_session, "before_flush", self._remember)

    def _remember(self, session: Session, *_: object) -> None:
        self._demanded = [
            (inspect(type(entity)), tuple(inspect(type(entity)).primary_key_from_instance(entity)), entity.version)
            for entity in (*session.dirty, *session.deleted)
            if isinstance(entity, Versioned)
        ]

    async def explain(self, engine: AsyncEngine, error: StaleDataError) -> None:
        """Raise StaleVersion with the row's key and its version of now, read in a new transaction.

        Returns when no row of ours is stale by now: one that this transaction itself had changed, and so undone.
        """
        async with engine.connect() as connection:
            for mapper, key, expected in self._demanded:
                columns = zip(mapper.primary_key, key, strict=True)
                version = mapper.columns["version"]
                found = await connection.execute(select(version).where(*(column == part for column, part in columns)))
                current = found.scalar_one_or_none()
                if current != expected:
                    raise StaleVersion(
                        mapper.class_.__name__, key, expected_version=expected, current_version=current
                    ) from error
