"""From a clean record to one line."""

import json
from collections.abc import Callable
from typing import Any

from structlog.dev import ConsoleRenderer

from maestro_core_logging._text import one_line

Render = Callable[[dict[str, Any]], str]


def json_line(record: dict[str, Any]) -> str:
    """The record as one line of JSON in pure ASCII, so that it passes every stream and no terminal obeys it."""
    return json.dumps(record, separators=(",", ":"), allow_nan=False)


def console_renderer(*, colors: bool) -> Render:
    """Records for people: one line each; a traceback is indented under it, so that it cannot pass for a record."""
    renderer = ConsoleRenderer(colors=colors, sort_keys=False, pad_event_to=0, pad_level=True)

    def render(record: dict[str, Any]) -> str:
        fields = {one_line(key): one_line(value) if isinstance(value, str) else value for key, value in record.items()}
        blocks = [text for text in (_traceback_of(fields.pop("exception", None)), record.get("stack")) if text]
        fields.pop("stack", None)
        line = str(renderer(None, "", fields))
        under = [f"    | {one_line(text)}" for block in blocks for text in block.splitlines()]
        return "\n".join([line, *under])

    return render


def _traceback_of(exception: Any) -> str | None:
    return str(exception["traceback"]) if isinstance(exception, dict) else None
