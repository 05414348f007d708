"""Which statements of a migration hold a lock on PostgreSQL for as long as a table is large.

Two ways that complete each other. `long_locks` reads the statements, and so works without a server. `LockWatch` looks
at a real one just before each commit: what does this transaction hold, and did it read, write or rewrite the table
meanwhile? Row counts do not matter for that, a scan of an empty table is seen as well.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, event, text
from sqlalchemy.ext.asyncio import AsyncConnection

_NAME = r'(?:ONLY\s+)?(?:IF\s+(?:NOT\s+)?EXISTS\s+)?"?(?P<table>[\w.]+)"?'
_CREATED = re.compile(rf"CREATE\s+(?:UNLOGGED\s+)?TABLE\s+{_NAME}", re.IGNORECASE)
_ALTERED = re.compile(rf"ALTER\s+TABLE\s+{_NAME}", re.IGNORECASE)
_WRITTEN = re.compile(rf"(?:UPDATE|DELETE\s+FROM|INSERT\s+INTO)\s+{_NAME}", re.IGNORECASE)
_VALIDATED = re.compile(rf"ALTER\s+TABLE\s+{_NAME}\s+VALIDATE\s+CONSTRAINT", re.IGNORECASE)

_RULES: tuple[tuple[str, str], ...] = (
    (
        rf"CREATE\s+(?:UNIQUE\s+)?INDEX\s+(?!CONCURRENTLY)(?:IF\s+NOT\s+EXISTS\s+)?\S+\s+ON\s+{_NAME}",
        "writes wait while the index is built: postgresql_concurrently=True, in an autocommit_block()",
    ),
    (
        rf"ALTER\s+TABLE\s+{_NAME}\s+ADD\s+COLUMN\s(?!.*\bDEFAULT\b)(?!.*\bGENERATED\b)(?!.*\bSERIAL\b).*\bNOT\s+NULL",
        "fails where there are rows: add it nullable or with a server default",
    ),
    (
        rf"ALTER\s+TABLE\s+{_NAME}\s+ADD\s+COLUMN\s.*(?:\b(?:BIG|SMALL)?SERIAL\b|\bGENERATED\b"
        r"|\bDEFAULT\s+(?:gen_random_uuid|uuidv?\w*|random|clock_timestamp|timeofday|nextval)\s*\()",
        "rewrites the table, for each row has a value of its own: add it empty, fill it in batches",
    ),
    (
        rf"ALTER\s+TABLE\s+{_NAME}\s+ALTER\s+(?:COLUMN\s+)?\S+\s+(?:SET\s+DATA\s+)?TYPE\b",
        "may rewrite the table: add another column, fill it in batches, then change over",
    ),
    (
        rf"ALTER\s+TABLE\s+{_NAME}\s+ALTER\s+(?:COLUMN\s+)?\S+\s+SET\s+NOT\s+NULL",
        "reads the whole table: first add CHECK (… IS NOT NULL) NOT VALID, validate it in a later revision",
    ),
    (
        rf"ALTER\s+TABLE\s+{_NAME}\s+ADD\s+(?:CONSTRAINT\s+\S+\s+)?(?:CHECK|FOREIGN\s+KEY)\b(?!.*\bNOT\s+VALID)",
        "reads the whole table: add it NOT VALID, and validate it in a later revision",
    ),
    (
        rf"ALTER\s+TABLE\s+{_NAME}\s+ADD\s+(?:CONSTRAINT\s+\S+\s+)?(?:UNIQUE|PRIMARY\s+KEY|EXCLUDE)\b(?!.*\bUSING\s+INDEX)",
        "builds its index under the lock: build the index concurrently, then ADD CONSTRAINT … USING INDEX",
    ),
    (
        rf"(?:VACUUM\s+FULL|CLUSTER|REINDEX\s+(?!.*CONCURRENTLY)\w+|REFRESH\s+MATERIALIZED\s+VIEW(?!\s+CONCURRENTLY))\s+{_NAME}",
        "holds the table until it is done",
    ),
    (rf"LOCK\s+(?:TABLE\s+)?{_NAME}", "locks the table until the commit"),
)
_COMPILED = tuple((re.compile(pattern, re.IGNORECASE | re.DOTALL), advice) for pattern, advice in _RULES)
_UNLIMITED = re.compile(
    r"(?:SET\s+(?:LOCAL\s+|SESSION\s+)?lock_timeout\s*(?:=|TO)\s*'?(?:0\w*|DEFAULT)\b|RESET\s+(?:ALL|lock_timeout))",
    re.IGNORECASE,
)

_BEFORE = (
    "SELECT oid, relfilenode FROM pg_class WHERE relkind IN ('r', 'm', 'p') AND oid >= 16384 AND relname <> :without"
)
_HELD = """
SELECT c.oid, c.relname, c.relfilenode, string_agg(DISTINCT l.mode, ', ') AS modes,
       coalesce(s.seq_scan, 0) + coalesce(s.idx_scan, 0) AS scans,
       coalesce(s.n_tup_ins, 0) + coalesce(s.n_tup_upd, 0) + coalesce(s.n_tup_del, 0) AS writes
  FROM pg_locks l JOIN pg_class c ON c.oid = l.relation LEFT JOIN pg_stat_xact_user_tables s ON s.relid = c.oid
 WHERE l.pid = pg_backend_pid() AND l.granted
   AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')
 GROUP BY c.oid, c.relname, c.relfilenode, s.seq_scan, s.idx_scan, s.n_tup_ins, s.n_tup_upd, s.n_tup_del
"""


def statements_of(script: str) -> list[str]:
    """The statements of a script as Alembic writes it."""
    lines = (line for line in script.splitlines() if not line.lstrip().startswith("--"))
    return [one.strip() for one in re.split(r";\s*(?:\n|$)", "\n".join(lines)) if one.strip()]


def long_locks(statements: Sequence[str], *, before: Sequence[str] = ()) -> list[str]:
    """What is wrong with the statements of one revision; `before` are those of all revisions before it."""
    new = _tables(_CREATED, statements)
    checked = _tables(_VALIDATED, before)
    problems = [f"no end to waiting for a lock: {_short(one)}" for one in statements if _UNLIMITED.match(one)]
    for one in statements:
        for pattern, advice in _COMPILED:
            match = pattern.match(one)
            if match is None or match["table"].lower() in new:
                continue
            if "SET NOT NULL" in " ".join(one.upper().split()) and match["table"].lower() in checked:
                continue
            problems.append(f"{advice}: {_short(one)}")
    return [*problems, *_backfills(statements, new)]


def _tables(pattern: re.Pattern[str], statements: Sequence[str]) -> set[str]:
    return {match["table"].lower() for match in map(pattern.match, statements) if match}


def _backfills(statements: Sequence[str], new: set[str]) -> Iterator[str]:
    """Rows that are written in a transaction that has changed a table: it stays locked until all are written."""
    altered: set[str] = set()
    for one in statements:
        if one.upper() in ("BEGIN", "COMMIT"):
            altered.clear()
        elif found := _ALTERED.match(one):
            altered.add(found["table"].lower())
        elif (found := _WRITTEN.match(one)) and altered - new and not found["table"].startswith("schema_version_"):
            tables = ", ".join(sorted(altered - new))
            yield f"writes rows while {tables} is locked: do it in a revision of its own, in batches: {_short(one)}"


def _short(statement: str) -> str:
    return " ".join(statement.split())[:160]


class LockWatch:
    """Listens to a connection that migrates, and looks at its locks just before each commit."""

    def __init__(self, version_table: str) -> None:
        self.found: list[str] = []
        self._version_table = version_table
        self._before: dict[int, int] = {}

    def attach(self, connection: AsyncConnection) -> None:
        """Begin to listen; for `Migrations.upgrade(watch=…)`."""
        assert connection.sync_connection is not None
        event.listen(connection.sync_connection, "commit", self._look)

    async def remember(self, connection: AsyncConnection) -> None:
        """The tables of before the revision: only these can have others waiting."""
        rows = await connection.execute(text(_BEFORE), {"without": self._version_table})
        self._before = {row.oid: row.relfilenode for row in rows}

    def _look(self, connection: Connection) -> None:
        if connection.get_isolation_level() == "AUTOCOMMIT":
            return
        for row in connection.execute(text(_HELD)):
            if row.oid not in self._before:
                continue
            if row.relfilenode != self._before[row.oid]:
                self._add(row, "rewritten")
            elif row.writes:
                self._add(row, "written to")
            elif row.scans:
                self._add(row, "read through")
        if connection.scalar(text("SELECT current_setting('lock_timeout')")) == "0":
            self.found.append("no end to waiting for a lock: lock_timeout is 0 at the end of the transaction")

    def _add(self, row: Any, what: str) -> None:
        self.found.append(f"{row.relname} is {what} while the transaction holds its {row.modes}")
