"""A message of the outbox: where it goes, and the attributes of a CloudEvent as plain data."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from maestro_core_db._errors import InvalidMessage
from maestro_core_db._types import json_text

MAX_TEXT = 255
MAX_DATA_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """What a relay publishes.

    `key` orders: of one topic and key, each message is published after the one before it; None orders nothing.
    `id` is the same at every attempt, for consumers that drop duplicates; `attempt` is 1 at first. The names from `id`
    on are those of CloudEvents 1.0, `at` is its `time`.
    """

    topic: str
    key: str | None
    id: str
    source: str
    type: str
    subject: str | None
    at: datetime
    data: Any
    datacontenttype: str
    dataschema: str | None
    extensions: Mapping[str, str]
    attempt: int


def check_message(row: Mapping[str, Any]) -> None:
    """Raise InvalidMessage for what could not be stored or published, naming the attribute."""
    for name in ("topic", "type", "source", "id", "datacontenttype"):
        _check_text(name, row[name])
    for name in ("key", "subject", "dataschema"):
        if row[name] is not None:
            _check_text(name, row[name])
    extensions = row["extensions"]
    for name, value in extensions.items():
        if not (isinstance(name, str) and name.isascii() and name.isalnum() and name == name.lower()):
            raise InvalidMessage("extensions: a name is made of lower-case ASCII letters and digits")
        _check_text(f"extensions.{name}", value)
    try:
        size_bytes = len(json_text(row["data"]).encode())
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidMessage(f"data: not JSON: {type(error).__name__}") from error
    if size_bytes > MAX_DATA_BYTES:
        raise InvalidMessage(f"data: {size_bytes} bytes as JSON, and {MAX_DATA_BYTES} is the limit")


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT:
        raise InvalidMessage(f"{name}: a text of 1 to {MAX_TEXT} characters")
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in value):
        raise InvalidMessage(f"{name}: no control characters and no surrogates")
