"""The table of the outbox, in the user's own schema."""

from sqlalchemy import JSON, BigInteger, Column, Index, Integer, MetaData, String, Table, Text

from maestro_core_db._outbox._message import MAX_TEXT
from maestro_core_db._types import UtcDateTime


def outbox_table(metadata: MetaData, name: str = "outbox") -> Table:
    """The outbox, added to the metadata, so that migrations make it as any other table.

    `sequence` is the order. A row waits while `sent_at` and `parked_at` are both null.
    """
    sequence = BigInteger().with_variant(Integer, "sqlite")
    table = Table(
        name,
        metadata,
        Column("sequence", sequence, primary_key=True, autoincrement=True),
        Column("id", String(MAX_TEXT), nullable=False),
        Column("topic", String(MAX_TEXT), nullable=False),
        Column("key", String(MAX_TEXT)),
        Column("type", String(MAX_TEXT), nullable=False),
        Column("source", String(MAX_TEXT), nullable=False),
        Column("subject", String(MAX_TEXT)),
        Column("at", UtcDateTime, nullable=False),
        # Kept as it was written; JSONB would turn 1e20 into a whole number and refuse some texts.
        Column("data", JSON(none_as_null=True)),
        Column("datacontenttype", String(MAX_TEXT), nullable=False),
        Column("dataschema", String(MAX_TEXT)),
        Column("extensions", JSON, nullable=False),
        Column("attempts", Integer, nullable=False),
        Column("due_at", UtcDateTime, nullable=False),
        Column("reason", Text),
        Column("parked_at", UtcDateTime),
        Column("sent_at", UtcDateTime),
        # Numbers are never given twice, so that a message that is replayed keeps its place.
        sqlite_autoincrement=True,
    )
    waits = (table.c.sent_at.is_(None)) & (table.c.parked_at.is_(None))
    for label, columns, where in (
        ("order", (table.c.topic, table.c.key, table.c.sequence), waits),
        ("waiting", (table.c.sequence,), waits),
        ("sent", (table.c.sent_at,), table.c.sent_at.is_not(None)),
    ):
        Index(f"ix_{name}_{label}", *columns, postgresql_where=where, sqlite_where=where)
    return table
