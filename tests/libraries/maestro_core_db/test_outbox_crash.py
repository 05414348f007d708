"""kill -9 of a relay at each point of its work: nothing is lost, and only what was in flight comes twice."""

import json
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from kit.postgres_server import PostgresServer
from kit.processes import import_path

BATCH = 3
MESSAGES = 9

# One process that forks for each crash: a fresh interpreter for each would take most of the time.
DRIVER = """
import asyncio, json, os, signal, sys
from pathlib import Path
from sqlalchemy import event
from libraries.maestro_core_db.models import Base, outbox
from maestro_core_db import OutboxRelay, outbox_lag
from maestro_core_db.testing import temporary_database
from maestro_core_config import SecretText
from maestro_core_db import Database, DatabaseSettings

BATCH, MESSAGES, server, base = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] or None, Path(sys.argv[4])


def die():
    os.kill(os.getpid(), signal.SIGKILL)


async def relay(url, log, point, number):
    seen = 0

    async def publish(message):
        nonlocal seen
        seen += 1
        if (point, number) == ("before publishing", seen):
            die()
        file = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(file, (json.dumps([message.key, message.data]) + "\\n").encode())
        os.close(file)
        if (point, number) == ("after publishing", seen):
            die()

    async with Database(DatabaseSettings(url=SecretText(url)), outbox=outbox) as database:
        settled = 0

        def committing(connection):
            nonlocal settled
            settled += 1
            if (point, number) == ("before the commit", settled):
                die()

        event.listen(database.engine.sync_engine, "commit", committing)
        one = OutboxRelay(database, publish, batch=BATCH, concurrency=1)
        while await one.run_once():
            if (point, number) == ("after the commit", settled):
                die()


def forked(*words):
    child = os.fork()
    if child == 0:
        try:
            asyncio.run(relay(*words))
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    return os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL or status


async def prepare(url):
    async with Database(DatabaseSettings(url=SecretText(url)), outbox=outbox) as database:
        async with database.engine.begin() as connection:
            await connection.run_sync(Base.metadata.drop_all)
            await connection.run_sync(Base.metadata.create_all)
        async with database.unit_of_work() as uow:
            for number in range(MESSAGES):
                uow.outbox.add(topic="t", type="x", key="ab"[number % 2], data=number)


async def left(url):
    async with Database(DatabaseSettings(url=SecretText(url)), outbox=outbox) as database:
        return (await outbox_lag(database)).waiting


points = [(p, n) for p in ("before publishing", "after publishing") for n in (1, 2, 3, 4, MESSAGES)]
points += [(p, n) for p in ("before the commit", "after the commit") for n in (1, 2, 3)]
for place, (point, number) in enumerate(points):
    url, log = server or f"sqlite:///{base}/{place}.db", base / f"{place}.log"
    asyncio.run(prepare(url))
    killed = forked(url, log, point, number)
    assert killed is True, (point, number, killed)
    before = log.read_text().count("\\n") if log.exists() else 0
    ended = forked(url, log, "never", 0)
    assert ended == 0, ended
    assert asyncio.run(left(url)) == 0
    print(json.dumps([point, number, before, [json.loads(line) for line in log.read_text().splitlines()]]))
"""


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_nothing_is_lost_wherever_the_relay_is_killed(kind: str, postgres: PostgresServer, tmp_path: Path) -> None:
    """At every point: all arrive, each key in order, and at most one batch comes twice."""
    server = "" if kind == "sqlite" else postgres.database()
    script = tmp_path / "driver.py"
    script.write_text(DRIVER)
    done = subprocess.run(
        [sys.executable, str(script), str(BATCH), str(MESSAGES), server, str(tmp_path)],
        env={**os.environ, "PYTHONPATH": import_path()},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    cases = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(cases) == 16
    for point, number, before, arrived in cases:
        where = f"{point} {number}"
        assert {data for _, data in arrived} == set(range(MESSAGES)), where
        twice = len(arrived) - MESSAGES
        assert twice <= BATCH, where
        if point == "after the commit":
            assert twice == 0, where
        assert before <= number * (BATCH if "commit" in point else 1), where
        by_key: dict[str, list[int]] = defaultdict(list)
        for key, data in arrived:
            if data not in by_key[key]:
                by_key[key].append(data)
        assert all(numbers == sorted(numbers) for numbers in by_key.values()), where
