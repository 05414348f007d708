"""For tests of programs that log: the records as they would be written, and assertions on them."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from maestro_core_logging._limits import Limits
from maestro_core_logging._rate import Dropped
from maestro_core_logging._render import json_line
from maestro_core_logging._schema import EventSchema
from maestro_core_logging._setup import Level, build, in_place_of_active

__all__ = ["Records", "assert_logged", "assert_no_secret", "assert_not_logged", "captured"]

Records = list[dict[str, Any]]
"""Records in the order in which they were logged, each as its line of JSON would be read."""


@contextmanager
def captured(
    *,
    level: Level = "DEBUG",
    schema: EventSchema | None = None,
    redact_names: Iterable[str] = (),
    limits: Limits | None = None,
) -> Iterator[Records]:
    """Gather what is logged inside, from every logger, in place of writing it; all is put back at the end.

    With a schema, AssertionError is raised at the end when a record does not keep to it.
    """
    records: Records = []
    dropped = Dropped()
    setup = build(
        json_line,
        _ListSink(records),
        dropped,
        levels={"": level},
        fields={},
        redact_names=redact_names,
        rate_limiter=None,
        sampler=None,
        schema=schema,
        limits=limits or Limits(),
        warnings=True,
        uncaught=False,
    )
    with in_place_of_active(setup):
        yield records
    wrong = [record for record in records if "schema_problem" in record]
    assert not wrong, f"records that the schema does not know: {_listed(wrong)}"


def assert_logged(records: Records, event: str, **fields: Any) -> dict[str, Any]:
    """The first record of this event with these fields; AssertionError lists what was logged when there is none."""
    found = _first(records, event, fields)
    assert found is not None, f"nothing was logged as {event!r} with {fields}; there is:{_listed(records)}"
    return found


def assert_not_logged(records: Records, event: str, **fields: Any) -> None:
    """AssertionError when a record of this event with these fields is there."""
    found = _first(records, event, fields)
    assert found is None, f"this was logged: {found}"


def assert_no_secret(records: Records, secret: str) -> None:
    """AssertionError, which does not repeat the secret, when a record shows it in a name or in a value."""
    for number, record in enumerate(records):
        shown = [
            key.replace(secret, "…")
            for key, value in record.items()
            if any(secret in text for text in (key, *_texts(value)))
        ]
        assert not shown, f"record {number} shows the secret in {shown}"


class _ListSink:
    def __init__(self, records: Records) -> None:
        self._records = records

    def put(self, line: str) -> None:
        self._records.append(json.loads(line))

    def flush(self, timeout_s: float) -> bool:
        return True

    def close(self, timeout_s: float) -> None:
        """Nothing is left to write."""


def _first(records: Records, event: str, fields: dict[str, Any]) -> dict[str, Any] | None:
    for record in records:
        if record["event"] == event and all(key in record and record[key] == fields[key] for key in fields):
            return record
    return None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from _texts(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _texts(inner)
    else:
        yield str(value)


def _listed(records: Records) -> str:
    return "".join(f"\n  {record}" for record in records)
