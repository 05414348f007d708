"""A worker to be killed: its effects go through an inbox, and each step of it is told to whoever reads the pipe."""

import asyncio
import os
import signal
import sqlite3
import sys
from functools import partial
from pathlib import Path

from maestro_core_messaging import Broker, Consumer, Delivery, SqliteBroker, SqliteInbox
from maestro_core_messaging.redis import RedisBroker

TOPIC, GROUP = "work", "workers"
LEASE_S = 2.0


def open_broker(where: str) -> Broker:
    """The broker at a Redis URL, or in the file of that name; workers die here, not the machine: no step is synced."""
    return RedisBroker(where) if where.startswith("redis:") else SqliteBroker(where, synchronous="normal")


def record(connection: sqlite3.Connection, delivery: Delivery) -> None:
    """The effect: one row, which nothing keeps from being there twice but the inbox."""
    connection.execute(
        "INSERT INTO effects (number, key, worker) VALUES (?, ?, ?)",
        (delivery.message.data, delivery.message.key, os.getpid()),
    )


async def work(where: str, effects: Path, log: int, pipe: int) -> None:
    """Handle messages until told to stop."""
    broker, inbox = open_broker(where), SqliteInbox(effects, synchronous="normal")

    async def handler(delivery: Delivery) -> None:
        os.write(log, f"{delivery.message.data}\n".encode())
        os.write(pipe, b"(")
        await inbox.once(delivery, partial(record, delivery=delivery))
        os.write(pipe, b")")

    async with Consumer(broker, TOPIC, GROUP, handler, concurrency=16, lease_s=LEASE_S) as consumer:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, consumer.stop)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])
        await consumer.wait()
    await inbox.close()
    await broker.close()


if __name__ == "__main__":
    _where, _effects, _log, _pipe = sys.argv[1:]
    asyncio.run(work(_where, Path(_effects), os.open(_log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), int(_pipe)))
