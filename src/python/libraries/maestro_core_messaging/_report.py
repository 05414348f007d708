"""What the command prints: tables for people, JSON for programs; nothing in it can steer a terminal."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from maestro_core_messaging._broker import DeadLetter, Stored


def print_table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as they need be, numbers to the right."""
    widths = [max(len(row[column]) for row in [heads, *rows]) for column in range(len(heads))]
    for row in [heads, *rows]:
        cells = [
            text.rjust(width) if text.isdecimal() else text.ljust(width)
            for text, width in zip(row, widths, strict=True)
        ]
        print("  ".join(cells).rstrip())


def print_json(value: dict[str, Any], *, indent: int | None = None) -> None:
    """One object; on one line unless indented."""
    print(json.dumps(value, indent=indent, ensure_ascii=True))


def printable(text: str, limit: int | None = None) -> str:
    """The text on one line, with escapes for what is not to be shown, cut after `limit` characters."""
    clean = "".join(char if char.isprintable() else json.dumps(char)[1:-1] for char in text)
    return clean if limit is None or len(clean) <= limit else clean[: limit - 1] + "…"


def when(at: datetime | None) -> str | None:
    """A time to the second, in UTC."""
    return None if at is None else at.strftime("%Y-%m-%dT%H:%M:%SZ")


def stored_json(stored: Stored) -> dict[str, Any]:
    """A stored message; `event` is None where `body` is none."""
    event = json.loads(stored.message.to_json()) if stored.message else None
    unread = {} if stored.message else {"body": stored.body}
    return {"position": stored.position, "published_at": when(stored.published_at), "event": event, **unread}


def letter_json(letter: DeadLetter) -> dict[str, Any]:
    """A dead letter with its event, or with its body where that is none."""
    found: dict[str, Any] = {
        name: getattr(letter, name) for name in ("id", "topic", "group", "reason", "error", "position", "attempts")
    }
    found["dead_at"] = when(letter.dead_at)
    if letter.message:
        return {**found, "event": json.loads(letter.message.to_json())}
    return {**found, "event": None, "body": letter.body}
