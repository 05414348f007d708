"""The one suite, for the brokers in memory and in a SQLite file."""

import sqlite3
from pathlib import Path

import pytest

from maestro_core_messaging import Broker, MemoryBroker, SqliteBroker
from maestro_core_messaging._sqlite._broker import _LogBroker
from maestro_core_messaging._sqlite._deliveries import _deliver
from maestro_core_messaging.testing import BrokerConformance


class LogConformance(BrokerConformance):
    """How others write into a SQLite store: SQL of their own."""

    prompt_s = 15.0

    @pytest.fixture(autouse=True)
    def only_the_bell_wakes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Who waits looks by himself too late to be taken for woken, however slow the machine."""
        monkeypatch.setattr("maestro_core_messaging._sqlite._bell._RECHECK_S", 60.0)

    async def publish_raw(self, broker: Broker, topic: str, body: bytes) -> None:
        assert isinstance(broker, _LogBroker)
        now_s = broker._now_s()

        def append(connection: sqlite3.Connection) -> None:
            row = connection.execute(
                "INSERT INTO messages (topic, body, published_at) VALUES (?, ?, ?)",
                (topic, body.decode(errors="replace"), now_s),
            )
            for (group,) in connection.execute("SELECT id FROM groups WHERE topic = ?", (topic,)).fetchall():
                _deliver(connection, group, row.lastrowid, None, now_s)

        await broker._writer.run(append, news=True)


class TestMemoryBroker(LogConformance):
    durable = False

    async def open(self, *, max_backlog: int | None = None) -> Broker:
        return MemoryBroker(max_backlog=max_backlog)


class TestSqliteBroker(LogConformance):
    @pytest.fixture(autouse=True)
    def folder(self, tmp_path: Path) -> None:
        self.path = tmp_path / "messages.sqlite"

    async def open(self, *, max_backlog: int | None = None) -> Broker:
        return SqliteBroker(self.path, max_backlog=max_backlog)
