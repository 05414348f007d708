"""Which events exist, and which fields they may have."""

from collections.abc import Collection, Iterable, Mapping


class EventSchema:
    """The events of some loggers with the fields that each may have; fields bound in the context are always allowed."""

    def __init__(self, events: Mapping[str, Collection[str]], *, loggers: Iterable[str]) -> None:
        self._events = {event: frozenset(fields) for event, fields in events.items()}
        self._loggers = tuple(loggers)

    def problem(self, logger: str, event: str, fields: Collection[str]) -> str | None:
        """What is wrong with a record; None when nothing is, or when its logger is not covered."""
        if not any(logger == name or logger.startswith(f"{name}.") for name in self._loggers):
            return None
        allowed = self._events.get(event)
        if allowed is None:
            return "unknown event"
        unknown = sorted(set(fields) - allowed)
        return f"unknown fields: {', '.join(unknown)}" if unknown else None
