"""The detector finds a planted N+1 by its line and its loop, and leaves what is sound alone."""

import inspect

import pytest
from libraries.maestro_core_db.models import Author, Book
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from maestro_core_db import Database
from maestro_core_db._testing._queries import normalised
from maestro_core_db.testing import NPlusOne, TooManyQueries, detect_n_plus_one, expect_queries


@pytest.fixture(autouse=True)
async def _a_library(database: Database) -> None:
    async with database.unit_of_work() as uow:
        uow.session.add_all(Author(id=n, name="x", books=[Book(title=f"{n}")]) for n in range(1, 6))


async def books_one_by_one(session: AsyncSession) -> int:
    found = 0
    authors = (await session.scalars(select(Author))).all()
    for author in authors:
        books = await session.scalars(select(Book).where(Book.author_id == author.id))
        found += len(books.all())
    return found


async def books_lazily(session: AsyncSession) -> int:
    authors = (await session.scalars(select(Author))).all()
    return await session.run_sync(lambda _: sum(len(author.books) for author in authors))


async def books_of(session: AsyncSession, number: int) -> int:
    return len((await session.scalars(select(Book).where(Book.author_id == number))).all())


async def test_a_planted_n_plus_one_is_found_with_its_loop(database: Database) -> None:
    """The message names the file, the line of the query, the line of the loop, and how often."""

    async def watched() -> None:
        async with detect_n_plus_one(database), database.session() as session:
            assert await books_one_by_one(session) == 5

    with pytest.raises(NPlusOne) as caught:
        await watched()
    lines, first = inspect.getsourcelines(books_one_by_one)
    query = first + next(n for n, line in enumerate(lines) if "select(Book)" in line)
    loop = first + next(n for n, line in enumerate(lines) if "for author" in line)
    assert f"{__file__}:{query} (in the loop at {__file__}:{loop})" in str(caught.value)
    assert "5 x SELECT book.id" in str(caught.value)


async def test_lazy_loading_in_a_comprehension_is_found(database: Database) -> None:
    """The frames of synchronous code inside the session are seen too."""

    async def watched() -> None:
        async with detect_n_plus_one(database), database.session() as session:
            assert await books_lazily(session) == 5

    with pytest.raises(NPlusOne, match=rf"in the loop at {__file__}"):
        await watched()


async def test_the_loop_may_be_in_the_caller(database: Database) -> None:
    """A function that sends one query, called in a loop elsewhere."""

    async def watched() -> None:
        async with detect_n_plus_one(database), database.session() as session:
            for number in range(1, 6):
                await books_of(session, number)

    with pytest.raises(NPlusOne, match="in the loop at"):
        await watched()


async def test_what_is_sound_is_not_reported(database: Database) -> None:
    """One query for all, a batch of inserts, and the same query from different places."""
    async with detect_n_plus_one(database, threshold=1):
        async with database.session() as session:
            authors = await session.scalars(select(Author).options(selectinload(Author.books)))
            assert sum(len(author.books) for author in authors) == 5
        async with database.session() as session:
            await books_of(session, 1)
        async with database.unit_of_work() as uow:
            await uow.session.execute(insert(Book), [{"title": "x", "author_id": 1} for _ in range(50)])
            for number in range(5):
                uow.session.add(Book(title=f"{number}", author_id=1))
                await uow.session.flush()


async def test_a_few_repetitions_are_allowed(database: Database) -> None:
    """Up to the threshold."""
    async with detect_n_plus_one(database, threshold=5) as seen, database.session() as session:
        await books_one_by_one(session)
    assert seen.total == 6


async def test_more_queries_than_expected_are_listed(database: Database) -> None:
    """With their lines; as many as expected pass."""
    async with expect_queries(database, at_most=1), database.session() as session:
        await books_of(session, 1)

    async def watched() -> None:
        async with expect_queries(database, at_most=5), database.session() as session:
            await books_one_by_one(session)

    with pytest.raises(TooManyQueries, match="6 statements, and at most 5") as caught:
        await watched()
    assert __file__ in str(caught.value)


async def test_an_error_of_the_block_is_not_hidden(database: Database) -> None:
    """What failed is told, not that too much was sent before."""

    async def watched() -> None:
        async with expect_queries(database, at_most=0), database.session() as session:
            await books_of(session, 1)
            raise KeyError("mine")

    with pytest.raises(KeyError):
        await watched()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SELECT a FROM t WHERE a = $1::INTEGER", "SELECT a  FROM t\nWHERE a = $2::INTEGER"),
        ("SELECT a FROM t WHERE a IN (?, ?, ?)", "SELECT a FROM t WHERE a IN (?)"),
        ("SELECT a FROM t WHERE a = 7 AND b = 'x''y'", "SELECT a FROM t WHERE a = 8 AND b = ''"),
    ],
)
def test_statements_are_the_same_but_for_their_values(one: str, other: str) -> None:
    """Numbers, texts, parameters, the length of a list and white space do not tell statements apart."""
    assert normalised(one) == normalised(other)
    assert normalised("SELECT t1.a FROM t1") != normalised("SELECT t2.a FROM t2")
