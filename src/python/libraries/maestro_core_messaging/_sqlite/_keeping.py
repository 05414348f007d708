"""Dead letters, trimming and figures, as functions of a connection inside a transaction."""

import sqlite3
from datetime import UTC, datetime

from maestro_core_messaging._broker import DeadLetter, GroupStats, Stored, TopicStats
from maestro_core_messaging._read import readable
from maestro_core_messaging._sqlite._deliveries import Taken, append_for, finish, group_of


def bury(connection: sqlite3.Connection, group_id: int, taken: Taken, reason: str, error: str, now_s: float) -> None:
    """Finish a delivery as a dead letter; raises LeaseLost."""
    finish(connection, group_id, taken.seq, taken.token)
    connection.execute(
        "INSERT INTO dead (group_id, seq, body, reason, error, attempts, dead_at)"
        " SELECT ?, seq, body, ?, ?, ?, ? FROM messages WHERE seq = ?",
        (group_id, reason, error, taken.attempt, now_s, taken.seq),
    )


def dead_letters(connection: sqlite3.Connection, topic: str, group: str, after: int, limit: int) -> list[DeadLetter]:
    """Dead letters of a group in order."""
    rows = connection.execute(
        "SELECT id, body, reason, error, seq, attempts, dead_at FROM dead WHERE group_id = ? AND id > ?"
        " ORDER BY id LIMIT ?",
        (group_of(connection, topic, group), after, limit),
    )
    return [
        DeadLetter(str(number), topic, group, readable(body), body, reason, error, str(seq), attempts, _at(dead_at))
        for number, body, reason, error, seq, attempts, dead_at in rows
    ]


def purge(connection: sqlite3.Connection, topic: str, group: str, letter: int) -> str | None:
    """Take a dead letter away; returns its body, None when there was none."""
    row = connection.execute(
        "DELETE FROM dead WHERE group_id = ? AND id = ? RETURNING body", (group_of(connection, topic, group), letter)
    ).fetchone()
    return row[0] if row else None


def replay(connection: sqlite3.Connection, topic: str, group: str, letter: int, now_s: float) -> bool:
    """Turn a dead letter into a new delivery for its group."""
    body = purge(connection, topic, group, letter)
    if body is None:
        return False
    message = readable(body)
    key = message.key if message else None
    append_for(connection, topic, group_of(connection, topic, group), body, key, now_s)
    return True


def trim(connection: sqlite3.Connection, topic: str, before_s: float) -> int:
    """Drop old messages that no group has still to finish."""
    return connection.execute(
        "DELETE FROM messages WHERE topic = ? AND published_at < ?"
        " AND NOT EXISTS (SELECT 1 FROM deliveries WHERE deliveries.seq = messages.seq)",
        (topic, before_s),
    ).rowcount


def remove_group(connection: sqlite3.Connection, topic: str, group: str) -> None:
    """Forget a group and what it has."""
    number = (group_of(connection, topic, group),)
    connection.execute("DELETE FROM deliveries WHERE group_id = ?", number)
    connection.execute("DELETE FROM dead WHERE group_id = ?", number)
    connection.execute("DELETE FROM groups WHERE id = ?", number)


def topics(connection: sqlite3.Connection) -> list[str]:
    """Every topic that has a message or a group."""
    return [
        row[0] for row in connection.execute("SELECT topic FROM messages UNION SELECT topic FROM groups ORDER BY 1")
    ]


def read(connection: sqlite3.Connection, topic: str, after: int, limit: int) -> list[Stored]:
    """Messages in order of their place."""
    rows = connection.execute(
        "SELECT seq, body, published_at FROM messages WHERE topic = ? AND seq > ? ORDER BY seq LIMIT ?",
        (topic, after, limit),
    )
    return [Stored(str(seq), readable(body), body, _at(published_at)) for seq, body, published_at in rows]


def stats(connection: sqlite3.Connection, topic: str, now_s: float) -> TopicStats:
    """Figures of a topic and its groups."""
    messages = connection.execute("SELECT count(*) FROM messages WHERE topic = ?", (topic,)).fetchone()[0]
    rows = connection.execute(
        "SELECT g.name, count(d.seq), count(d.seq) FILTER (WHERE d.leased AND d.available_at > ?),"
        " (SELECT count(*) FROM dead WHERE dead.group_id = g.id),"
        " (SELECT published_at FROM messages WHERE seq = (SELECT min(seq) FROM deliveries WHERE group_id = g.id))"
        " FROM groups g LEFT JOIN deliveries d ON d.group_id = g.id WHERE g.topic = ? GROUP BY g.id ORDER BY g.name",
        (now_s, topic),
    )
    groups = tuple(
        GroupStats(name, unfinished - leased, leased, dead, None if oldest is None else _at(oldest))
        for name, unfinished, leased, dead, oldest in rows
    )
    return TopicStats(topic, messages, groups)


def _at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
