"""A unit of work is one transaction, whole or not at all."""

import asyncio

import pytest
from libraries.maestro_core_db.models import Author, Book
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError

from maestro_core_db import (
    CommitUnknown,
    ConnectionLost,
    Database,
    DatabaseError,
    Deadlock,
    ReadOnly,
    SerializationFailed,
    UnitOfWork,
    WrongUse,
)
from maestro_core_db.testing import inject_fault


async def count(database: Database) -> int:
    async with database.session() as session:
        return (await session.scalar(select(func.count()).select_from(Author))) or 0


async def test_a_clean_exit_commits_and_objects_stay_readable(database: Database) -> None:
    """After the block the row is there, and its object can be read without another query."""
    async with database.unit_of_work() as uow:
        author = Author(name="Ada")
        uow.session.add(author)
    assert author.id == 1
    assert author.name == "Ada"
    assert await count(database) == 1


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, asyncio.CancelledError])
async def test_any_error_rolls_back(database: Database, error: type[BaseException]) -> None:
    """Whatever leaves the block, nothing of it stays, and the error is the very one."""
    raised = error("no")

    async def work() -> None:
        async with database.unit_of_work() as uow:
            uow.session.add(Author(name="Ada"))
            await uow.session.flush()
            raise raised

    with pytest.raises(error) as caught:
        await work()
    assert caught.value is raised
    assert await count(database) == 0


async def test_a_cancelled_task_rolls_back_and_frees_its_connection(database: Database) -> None:
    """A task that is cancelled in the middle leaves nothing behind, and the next one can write."""
    flushed = asyncio.Event()

    async def work() -> None:
        async with database.unit_of_work() as uow:
            uow.session.add(Author(name="Ada"))
            await uow.session.flush()
            flushed.set()
            await asyncio.Event().wait()

    for _ in range(12):  # more than the pool has
        flushed.clear()
        task = asyncio.create_task(work())
        await asyncio.wait_for(flushed.wait(), 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    async with database.unit_of_work() as uow:
        uow.session.add(Author(name="Grace"))
    assert await count(database) == 1


async def test_cancelled_at_any_moment_it_is_whole_or_nothing(database: Database) -> None:
    """Two rows are written or none, wherever the cancellation comes, and the database goes on."""
    for steps in range(40):

        async def work() -> None:
            async with database.unit_of_work() as uow:
                uow.session.add_all([Author(name="a"), Author(name="b")])

        before = await count(database)
        task = asyncio.create_task(work())
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (await count(database) - before) in (0, 2)


async def test_a_savepoint_undoes_its_part_alone(database: Database) -> None:
    """What was before the savepoint and after it is kept; its messages and callbacks are dropped with it."""
    called = []

    async def part(uow: UnitOfWork) -> None:
        async with uow.savepoint():
            uow.session.add(Author(name="undone"))
            uow.outbox.add(topic="t", type="undone")
            uow.after_commit(lambda: called.append("undone"))
            await uow.session.flush()
            raise ValueError("part")

    async with database.unit_of_work() as uow:
        uow.session.add(Author(name="kept"))
        uow.outbox.add(topic="t", type="kept")
        with pytest.raises(ValueError, match="part"):
            await part(uow)
        async with uow.savepoint():
            uow.session.add(Author(name="kept too"))
        uow.after_commit(lambda: called.append("kept"))
    async with database.session() as session:
        assert (await session.scalars(select(Author.name).order_by(Author.id))).all() == ["kept", "kept too"]
        assert (await session.scalars(text("SELECT type FROM outbox"))).all() == ["kept"]
    assert called == ["kept"]


async def test_one_within_another_is_refused(database: Database) -> None:
    """It would wait for itself on SQLite, so it is refused at once on both."""
    async with database.unit_of_work():
        with pytest.raises(WrongUse, match="savepoint"):
            async with database.unit_of_work():
                pytest.fail("entered")
    uow = database.unit_of_work()
    async with uow:
        pass
    with pytest.raises(WrongUse, match="once"):
        await uow.__aenter__()
    with pytest.raises(WrongUse, match="not open"):
        _ = uow.session


async def test_callbacks_run_after_the_commit_in_order_and_cannot_undo_it(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """They see the row committed; one that raises is logged and the next still runs."""
    called: list[str] = []

    def broken() -> None:
        raise RuntimeError("broken callback")

    async with database.unit_of_work() as uow:
        uow.session.add(Author(name="Ada"))
        uow.after_commit(lambda: called.append("first"))
        uow.after_commit(broken)
        uow.after_commit(lambda: called.append("second"))
        assert called == []
    assert called == ["first", "second"]
    assert "broken callback" in caplog.text
    assert await count(database) == 1

    async def fail() -> None:
        async with database.unit_of_work() as uow:
            uow.after_commit(lambda: called.append("never"))
            raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await fail()
    assert "never" not in called


async def test_a_reading_session_refuses_to_write(database: Database) -> None:
    """Neither SQL nor an added object is written: ReadOnly, on both databases."""
    with pytest.raises(ReadOnly):
        async with database.session() as session:
            await session.execute(text("INSERT INTO author (name) VALUES ('x')"))
    with pytest.raises(ReadOnly):
        async with database.session() as session:
            session.add(Author(name="x"))
    assert await count(database) == 0


async def test_a_reading_session_sees_one_snapshot(database: Database) -> None:
    """What is committed while it reads does not appear in it."""
    async with database.session() as session:
        statement = select(func.count()).select_from(Author)
        assert await session.scalar(statement) == 0
        async with database.unit_of_work() as uow:
            uow.session.add(Author(name="Ada"))
        assert await session.scalar(statement) == 0
    assert await count(database) == 1


async def test_foreign_keys_hold(database: Database) -> None:
    """A row that points nowhere is refused, on SQLite too; SQLAlchemy's own error comes through."""
    with pytest.raises(IntegrityError) as caught:
        async with database.unit_of_work() as uow:
            uow.session.add(Book(title="secret title", author_id=77))
    assert "secret title" not in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "statement", "error"),
    [
        ("deadlock", "INSERT", Deadlock),
        ("serialization failure", "INSERT", SerializationFailed),
        ("serialization failure", "COMMIT", SerializationFailed),
        ("connection lost", "INSERT", ConnectionLost),
        ("connection lost", "COMMIT", CommitUnknown),
    ],
)
async def test_failures_have_names(database: Database, fault: str, statement: str, error: type[DatabaseError]) -> None:
    """What the database does to a transaction is told apart, and only an unknown commit forbids another try."""
    with pytest.raises(error) as caught, inject_fault(database, fault, statement=f"^{statement}"):  # type: ignore[arg-type] # one of them
        async with database.unit_of_work() as uow:
            uow.session.add(Author(name="Ada"))
    assert caught.value.retryable is (error is not CommitUnknown)
    assert await count(database) == 0


async def test_run_in_transaction_repeats_only_what_may_be_repeated(database: Database) -> None:
    """Retryable failures are tried again from the start, up to the attempts; others are raised at once."""
    calls = 0

    async def add(uow: UnitOfWork) -> str:
        nonlocal calls
        calls += 1
        uow.session.add(Author(name="Ada"))
        await uow.session.flush()
        return "done"

    with inject_fault(database, "deadlock", statement="^INSERT", times=3):
        assert await database.run_in_transaction(add) == "done"
    assert calls == 4
    assert await count(database) == 1

    calls = 0
    with inject_fault(database, "deadlock", statement="^INSERT", times=9), pytest.raises(Deadlock):
        await database.run_in_transaction(add, attempts=3)
    assert calls == 3

    calls = 0
    with inject_fault(database, "connection lost", statement="^COMMIT"), pytest.raises(CommitUnknown):
        await database.run_in_transaction(add)
    assert calls == 1
    assert await count(database) == 1


async def test_a_real_serialization_failure_is_repeated(on_postgres: Database) -> None:
    """Two serializable transactions that read what the other writes: both end well, one of them after a repetition."""
    calls = 0
    both = asyncio.Barrier(2)

    async def add(uow: UnitOfWork) -> None:
        nonlocal calls
        calls += 1
        seen = await uow.session.scalar(select(func.count()).select_from(Author))
        if calls <= 2:
            await both.wait()
        uow.session.add(Author(name=f"saw {seen}"))

    async with asyncio.timeout(30):
        await asyncio.gather(*(on_postgres.run_in_transaction(add, isolation="serializable") for _ in range(2)))
    assert calls == 3
    async with on_postgres.session() as session:
        assert sorted(await session.scalars(select(Author.name))) == ["saw 0", "saw 1"]


async def test_a_real_deadlock_is_repeated(on_postgres: Database) -> None:
    """Two transactions that lock two rows in opposite order: PostgreSQL ends one, and it succeeds when repeated."""
    async with on_postgres.unit_of_work() as uow:
        uow.session.add_all([Author(id=1, name=""), Author(id=2, name="")])
    calls = 0
    both = asyncio.Barrier(2)

    async def rename(uow: UnitOfWork, ids: tuple[int, int]) -> None:
        nonlocal calls
        calls += 1
        first_time = calls <= 2
        for number in ids:
            await uow.session.execute(text("UPDATE author SET name = name || 'x' WHERE id = :id"), {"id": number})
            if first_time and number == ids[0]:
                await both.wait()

    async with asyncio.timeout(30):
        await asyncio.gather(
            on_postgres.run_in_transaction(lambda uow: rename(uow, (1, 2))),
            on_postgres.run_in_transaction(lambda uow: rename(uow, (2, 1))),
        )
    assert calls == 3
    async with on_postgres.session() as session:
        assert (await session.scalars(select(Author.name))).all() == ["xx", "xx"]


async def test_a_server_that_ends_the_connection_is_a_lost_connection(on_postgres: Database) -> None:
    """The backend is terminated in mid-transaction: ConnectionLost, nothing done, and the next one works."""

    async def work() -> None:
        async with on_postgres.unit_of_work() as uow:
            uow.session.add(Author(name="Ada"))
            await uow.session.flush()
            backend = await uow.session.scalar(text("SELECT pg_backend_pid()"))
            async with on_postgres.session() as other:
                await other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": backend})
            await uow.session.execute(text("SELECT 1"))

    with pytest.raises(ConnectionLost):
        await work()
    assert await count(on_postgres) == 0
