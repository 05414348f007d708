"""Publishing, taking and settling, as functions of a connection inside a transaction."""

import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from maestro_core_messaging._broker import Delivery, Start
from maestro_core_messaging._errors import LeaseLost, TopicFull, UnknownGroup
from maestro_core_messaging._message import Message


class Taken(NamedTuple):
    """A delivery that is leased."""

    seq: int
    attempt: int
    token: int


def publish(
    connection: sqlite3.Connection,
    topic: str,
    messages: Sequence[tuple[Message, str]],
    now_s: float,
    max_backlog: int | None,
) -> None:
    """Append the messages with their JSON, and one delivery of each for every group; raises TopicFull."""
    groups = [row[0] for row in connection.execute("SELECT id FROM groups WHERE topic = ?", (topic,))]
    if max_backlog is not None:
        for group_id in groups:
            _refuse_when_full(connection, topic, group_id, max_backlog - len(messages))
    for message, body in messages:
        inserted = connection.execute(
            "INSERT INTO messages (topic, source, id, key, body, published_at) VALUES (?, ?, ?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING",
            (topic, message.source, message.id, message.key, body, now_s),
        )
        if inserted.rowcount:
            for group_id in groups:
                _deliver(connection, group_id, inserted.lastrowid, message.key, now_s)


def _refuse_when_full(connection: sqlite3.Connection, topic: str, group_id: int, room: int) -> None:
    beyond = "SELECT 1 FROM deliveries WHERE group_id = ? LIMIT 1 OFFSET ?"
    if room < 0 or connection.execute(beyond, (group_id, room)).fetchone():
        name = connection.execute("SELECT name FROM groups WHERE id = ?", (group_id,)).fetchone()[0]
        raise TopicFull(f"the group {name} of topic {topic} has too much before it; publish again later")


def _deliver(connection: sqlite3.Connection, group_id: int, seq: int | None, key: str | None, now_s: float) -> None:
    connection.execute(
        "INSERT INTO deliveries (group_id, seq, key, ready, available_at) VALUES (?1, ?2, ?3,"
        " ?3 IS NULL OR NOT EXISTS (SELECT 1 FROM deliveries WHERE group_id = ?1 AND key = ?3), ?4)",
        (group_id, seq, key, now_s),
    )


def append_for(
    connection: sqlite3.Connection, topic: str, group_id: int, body: str, key: str | None, now_s: float
) -> None:
    """Append a message that only one group is to see."""
    inserted = connection.execute(
        "INSERT INTO messages (topic, key, body, published_at, only_group) VALUES (?, ?, ?, ?, ?)",
        (topic, key, body, now_s, group_id),
    )
    _deliver(connection, group_id, inserted.lastrowid, key, now_s)


def group_of(connection: sqlite3.Connection, topic: str, group: str) -> int:
    """The number of a group; raises UnknownGroup."""
    row = connection.execute("SELECT id FROM groups WHERE topic = ? AND name = ?", (topic, group)).fetchone()
    if row is None:
        raise UnknownGroup(f"the topic {topic} has no group {group}")
    return int(row[0])


def join(connection: sqlite3.Connection, topic: str, group: str, start: Start) -> int:
    """The number of a group, which is made when there is none."""
    made = connection.execute(
        "INSERT INTO groups (topic, name) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING id", (topic, group)
    ).fetchone()
    if made is None:
        return group_of(connection, topic, group)
    if start == "beginning":
        connection.execute(
            "INSERT INTO deliveries (group_id, seq, key, ready, available_at)"
            " SELECT ?1, seq, key, key IS NULL OR row_number() OVER (PARTITION BY key ORDER BY seq) = 1, published_at"
            " FROM messages WHERE topic = ?2 AND only_group IS NULL",
            (made[0], topic),
        )
    return int(made[0])


def take(
    connection: sqlite3.Connection, group_id: int, count: int, now_s: float, lease_s: float
) -> tuple[list[tuple[Taken, str]], float | None]:
    """Lease what is due, with its JSON, and say when the next will be, None when nothing waits."""
    due = connection.execute(
        "SELECT d.seq, d.attempt + 1, d.token + 1, m.body FROM deliveries d JOIN messages m ON m.seq = d.seq"
        " WHERE d.group_id = ? AND d.ready = 1 AND d.available_at <= ? ORDER BY d.available_at, d.seq LIMIT ?",
        (group_id, now_s, count),
    ).fetchall()
    connection.executemany(
        "UPDATE deliveries SET leased = 1, attempt = ?, token = ?, available_at = ? WHERE group_id = ? AND seq = ?",
        [(attempt, token, now_s + lease_s, group_id, seq) for seq, attempt, token, _ in due],
    )
    next_at = connection.execute(
        "SELECT available_at FROM deliveries WHERE group_id = ? AND ready = 1 ORDER BY available_at LIMIT 1",
        (group_id,),
    ).fetchone()
    return [(Taken(*leased), body) for *leased, body in due], next_at[0] if next_at else None


def extend(
    connection: sqlite3.Connection, group_id: int, deliveries: Sequence[Delivery], until_s: float
) -> list[Delivery]:
    """Move the ends of leases; returns those that are lost."""
    return [
        delivery
        for delivery in deliveries
        if not connection.execute(
            "UPDATE deliveries SET available_at = ? WHERE group_id = ? AND seq = ? AND token = ? AND leased = 1",
            (until_s, group_id, int(delivery.position), delivery.token),
        ).rowcount
    ]


def release(connection: sqlite3.Connection, group_id: int, delivery: Delivery, due_at_s: float, counts: int) -> None:
    """End a lease so that the message is due at `due_at_s`; `counts` is 0 when the attempt is to be forgotten."""
    released = connection.execute(
        "UPDATE deliveries SET leased = 0, available_at = ?, attempt = attempt - 1 + ?"
        " WHERE group_id = ? AND seq = ? AND token = ? AND leased = 1",
        (due_at_s, counts, group_id, int(delivery.position), delivery.token),
    )
    if not released.rowcount:
        raise _lost(delivery.position)


def finish(connection: sqlite3.Connection, group_id: int, seq: int, token: int) -> None:
    """Take a delivery away, and let the next of its key come forward; raises LeaseLost."""
    row = connection.execute(
        "DELETE FROM deliveries WHERE group_id = ? AND seq = ? AND token = ? AND leased = 1 RETURNING key",
        (group_id, seq, token),
    ).fetchone()
    if row is None:
        raise _lost(seq)
    if row[0] is not None:
        connection.execute(
            "UPDATE deliveries SET ready = 1 WHERE group_id = ?1 AND seq ="
            " (SELECT min(seq) FROM deliveries WHERE group_id = ?1 AND key = ?2)",
            (group_id, row[0]),
        )


def _lost(position: int | str) -> LeaseLost:
    return LeaseLost(f"message {position} is no longer leased to this consumer")
