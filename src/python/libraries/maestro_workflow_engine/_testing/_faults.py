"""Embedded backends whose journal meets with accidents."""

import os
import signal
from pathlib import Path
from typing import Any, Literal

from maestro_workflow_engine._embedded._backend import EmbeddedBackend
from maestro_workflow_engine._embedded._journal import Journal, Record


def dying_backend(commit: int, *, moment: Literal["before", "after"] = "after") -> type[EmbeddedBackend]:
    """A backend whose process is killed (SIGKILL) right before or after its n-th transaction (1, 2, …)."""

    class DyingJournal(Journal):
        """Counts its transactions."""

        commits = 0

        def commit(self, records: list[Record]) -> None:
            if any(record.events for record in records):
                self.commits += 1
            if self.commits == commit and moment == "before":
                os.kill(os.getpid(), signal.SIGKILL)
            super().commit(records)
            if self.commits == commit:
                os.kill(os.getpid(), signal.SIGKILL)

    class DyingBackend(EmbeddedBackend):
        """Dies on time."""

        journal_type = DyingJournal

    return DyingBackend


def failing_backend(commit: int, error: Exception) -> type[EmbeddedBackend]:
    """A backend whose n-th transaction (1, 2, …) fails with this error."""

    class FailingJournal(Journal):
        """Counts its transactions."""

        commits = 0

        def commit(self, records: list[Record]) -> None:
            self.commits += 1
            if self.commits == commit:
                raise error
            super().commit(records)

    class FailingBackend(EmbeddedBackend):
        """Fails on time."""

        journal_type = FailingJournal

    return FailingBackend


def filling_backend(pages: int) -> type[EmbeddedBackend]:
    """A backend whose database may have so many pages and no more: to SQLite the disk is full then."""

    class FillingJournal(Journal):
        """Has little room."""

        def __init__(self, path: Path, **settings: Any) -> None:
            super().__init__(path, **settings)
            self.connection.execute(f"PRAGMA max_page_count = {pages}")

    class FillingBackend(EmbeddedBackend):
        """Has little room."""

        journal_type = FillingJournal

    return FillingBackend


class CountingJournal(Journal):
    """Notes how many events each of its transactions held."""

    def __init__(self, path: Path, **settings: Any) -> None:
        super().__init__(path, **settings)
        self.transactions: list[int] = []

    def commit(self, records: list[Record]) -> None:
        super().commit(records)
        events = sum(len(record.events) for record in records)
        if events:
            self.transactions.append(events)


class CountingBackend(EmbeddedBackend):
    """Tells how many events each of its transactions held."""

    journal_type = CountingJournal

    @property
    def transactions(self) -> list[int]:
        """Events per transaction, since it was opened."""
        journal = self._engine.journal
        return list(journal.transactions) if isinstance(journal, CountingJournal) else []
