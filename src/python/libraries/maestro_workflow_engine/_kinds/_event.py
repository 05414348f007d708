"""The step kind `event`: waits for something that is published to all workflows."""

import re
from collections.abc import Iterator, Mapping
from typing import Final

from maestro_workflow_engine._json import JSON, json_equal
from maestro_workflow_engine._kinds._arguments import Readers, duration_s, read, static_problems, title
from maestro_workflow_engine._ports import StepCall, Wait
from maestro_workflow_engine._step_errors import WaitExpired

_KEY: Final = re.compile(r"[a-z0-9]{1,64}|data(\.[^.]{1,256}){1,32}")
_MAX_MATCHES: Final = 32


def _match(value: object) -> dict[str, JSON]:
    if not isinstance(value, dict) or len(value) > _MAX_MATCHES:
        raise ValueError(f"an object of at most {_MAX_MATCHES} entries was expected: attribute or data.path to value")
    for key in value:
        if not isinstance(key, str) or not _KEY.fullmatch(key):
            raise ValueError(
                f"{str(key)[:64]!r} is neither an attribute, such as subject, nor a path, such as data.order.id"
            )
    return value


_READERS: Final[Readers] = {"type": title, "match": _match, "timeout_s": duration_s}


class EventKind:
    """`with: {type: "order.paid", match: {subject: "42", data.order.id: 42}, timeout_s: 3600}`; gives the event.

    It fits when it has that type and all of these values. Without `timeout_s` it waits for ever. What was published
    before the step began to wait is not seen.
    """

    def check(self, arguments: Mapping[str, object], tools: Mapping[str, object]) -> Iterator[tuple[str, str]]:
        """Static problems below `with`."""
        yield from static_problems(arguments, _READERS)
        if "type" not in arguments:
            yield "", "event needs `type`: that of the event to wait for"

    async def run(self, call: StepCall) -> object:
        """Wait at the first call; the second has the event, or comes too late."""
        values = read(call.arguments, _READERS, ["type"])
        if call.answer is not None:
            return call.answer.value
        if call.due_at is not None:
            raise WaitExpired(f"no event {values['type']!r} that fits came within {values.get('timeout_s', 0.0):g} s")
        return Wait(
            values.get("timeout_s"), {"kind": "event", "type": values["type"], "match": values.get("match", {})}
        )

    async def close(self) -> None:
        """Nothing is held."""


def matches(on: Mapping[str, JSON], event: Mapping[str, JSON]) -> bool:
    """Whether an event is what a step waits `on`."""
    if event.get("type") != on.get("type"):
        return False
    match = on.get("match")
    wanted = match.items() if isinstance(match, dict) else ()
    return all(json_equal(_found(event, key), value) for key, value in wanted)


_NOTHING: Final = object()


def _found(event: Mapping[str, JSON], key: str) -> object:
    """What stands at an attribute or at a path below `data`; in a list the path counts from 0."""
    value: object = event
    for part in key.split("."):
        if isinstance(value, Mapping):
            value = value.get(part, _NOTHING)
        elif isinstance(value, list) and part.isascii() and part.isdigit() and int(part[:9]) < len(value):
            value = value[int(part[:9])]
        else:
            return _NOTHING
    return value
