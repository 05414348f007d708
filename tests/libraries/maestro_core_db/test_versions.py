"""Optimistic locks: no update is lost, and whoever comes late is told what is there now."""

import asyncio
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from libraries.maestro_core_db.models import Account
from sqlalchemy import delete, text

from maestro_core_db import Database, StaleVersion, WrongUse, check_version, update_versioned


async def loaded(database: Database, number: int = 1) -> Account:
    async with database.session() as session:
        return await session.get_one(Account, number)


async def save(database: Database, account: Account, balance: int) -> None:
    async with database.unit_of_work() as uow:
        uow.session.add(account)
        account.balance = balance


async def remove(database: Database, account: Account) -> None:
    async with database.unit_of_work() as uow:
        await uow.session.delete(account)


@pytest.fixture(autouse=True)
async def _an_account(database: Database) -> None:
    async with database.unit_of_work() as uow:
        uow.session.add(Account(id=1, balance=0))


async def test_the_second_of_two_who_read_the_same_is_refused(database: Database) -> None:
    """By an object: the error says which row, what was expected, and what is there."""
    first, second = await loaded(database), await loaded(database)
    await save(database, first, 10)
    with pytest.raises(StaleVersion) as caught:
        await save(database, second, 20)
    error = caught.value
    assert (error.entity, error.key, error.expected_version, error.current_version) == ("Account", (1,), 1, 2)
    assert not error.retryable
    assert "10" not in str(error)
    assert (await loaded(database)).balance == 10


async def test_a_row_that_is_gone_is_stale(database: Database) -> None:
    """Changed or deleted after another deleted it: there is no current version."""
    for deletes in (False, True):
        account = await loaded(database)
        async with database.unit_of_work() as uow:
            await uow.session.execute(delete(Account))
        with pytest.raises(StaleVersion) as caught:
            await (remove(database, account) if deletes else save(database, account, 5))
        assert caught.value.current_version is None
        async with database.unit_of_work() as uow:
            uow.session.add(Account(id=1, balance=0))


async def test_by_statement(database: Database) -> None:
    """`UPDATE … WHERE version`: the new version, or the error with the present one."""

    async def change(expected: int, key: tuple[int, ...] = (1,)) -> int:
        async with database.unit_of_work() as uow:
            return await update_versioned(uow.session, Account, key, expected, {"balance": 7})

    assert await change(1) == 2
    with pytest.raises(StaleVersion) as caught:
        await change(1)
    assert caught.value.current_version == 2
    with pytest.raises(StaleVersion) as caught:
        await change(1, key=(99,))
    assert caught.value.current_version is None
    with pytest.raises(WrongUse):
        await change(1, key=(1, 2))


async def test_a_version_from_outside_is_checked(database: Database) -> None:
    """As If-Match brings it."""
    account = await loaded(database)
    check_version(account, 1)
    with pytest.raises(StaleVersion, match="at version 1, not at version 3"):
        check_version(account, 3)


async def test_other_errors_of_a_flush_are_not_taken_for_stale(database: Database) -> None:
    """A flush that fails in the middle of the block names the row as well."""
    account = await loaded(database)
    async with database.unit_of_work() as uow:
        await uow.session.execute(text("UPDATE account SET version = 5"))

    async def work() -> None:
        async with database.unit_of_work() as uow:
            uow.session.add(account)
            account.balance = 3
            await uow.session.flush()

    with pytest.raises(StaleVersion) as caught:
        await work()
    assert caught.value.current_version == 5


@settings(max_examples=8)
@given(plan=st.lists(st.lists(st.integers(1, 9), min_size=1, max_size=4), min_size=2, max_size=5), orm=st.booleans())
async def test_no_update_is_lost_among_concurrent_writers(database: Database, plan: list[list[int]], orm: bool) -> None:
    """Each adds its numbers, and reads again when stale: the balance is their sum, and each change is counted."""
    async with database.unit_of_work() as uow:
        await uow.session.execute(text("UPDATE account SET balance = 0, version = 1"))

    async def add(amount: int) -> None:
        tried = False
        while not tried:
            account = await loaded(database)
            with suppress(StaleVersion):
                if orm:
                    await save(database, account, account.balance + amount)
                else:
                    await by_statement(database, account, account.balance + amount)
                tried = True

    async def writer(amounts: list[int]) -> None:
        for amount in amounts:
            await add(amount)

    async with asyncio.timeout(60):
        await asyncio.gather(*map(writer, plan))
    account = await loaded(database)
    assert account.balance == sum(map(sum, plan))
    assert account.version == 1 + sum(map(len, plan))


async def by_statement(database: Database, account: Account, balance: int) -> None:
    async with database.unit_of_work() as uow:
        await update_versioned(uow.session, Account, (account.id,), account.version, {"balance": balance})
