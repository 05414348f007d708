"""Checks what the commands of a user bring along."""

import math
from collections.abc import Mapping
from typing import Final

from maestro_workflow_engine._definition import UNITS
from maestro_workflow_engine._errors import InvalidInputs, StepError
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._outcome import plain
from maestro_workflow_engine._problems import Problem
from maestro_workflow_engine._refusals import BadSetting, InvalidAnswer, SignalRefused

MAX_VALUE_BYTES: Final = 256 << 10
"""How large a signal, an answer or the output of a skipped step may be as JSON."""
_MAX_PRIORITY: Final = 100
_MAX_AMOUNT: Final = 1e15
_MAX_NAME: Final = 256


def checked_signal(name: str, payload: object, signal_id: str | None) -> JSON:
    """The payload of a signal as plain data; raises SignalRefused."""
    for text in (name, signal_id):
        if text is not None and not (isinstance(text, str) and 0 < len(text) <= _MAX_NAME and _is_unicode(text)):
            raise SignalRefused(f"the name and the id of a signal are texts of 1 to {_MAX_NAME} characters")
    try:
        return plain(payload, MAX_VALUE_BYTES)[0]
    except StepError as error:
        raise SignalRefused(f"the payload of signal {name!r} cannot be kept: {error}") from error


def checked_answer(value: object) -> JSON:
    """An answer as plain data; raises InvalidAnswer."""
    try:
        return plain(value, MAX_VALUE_BYTES)[0]
    except StepError as error:
        raise InvalidAnswer([Problem("", str(error), "answer.bad-value")]) from error


def checked_event(event: object) -> dict[str, JSON]:
    """An event as plain data; raises InvalidInputs."""
    try:
        value = plain(dict(event) if isinstance(event, Mapping) else event, MAX_VALUE_BYTES)[0]
    except StepError as error:
        raise InvalidInputs([Problem("", str(error), "inputs.bad-event")]) from error
    if not isinstance(value, dict) or not isinstance(value.get("type"), str):
        raise InvalidInputs([Problem("/type", "an event is a mapping with a type, a text", "inputs.bad-event")])
    return value


def checked_output(output: object) -> JSON:
    """The output of a step that is skipped as plain data; raises BadSetting."""
    try:
        return plain(output, MAX_VALUE_BYTES)[0]
    except StepError as error:
        raise BadSetting(f"the output of the skipped step cannot be kept: {error}") from error


def checked_budget(budget: object) -> dict[str, float]:
    """The limits of a budget; raises BadSetting."""
    if not isinstance(budget, Mapping):
        raise BadSetting("a budget is a mapping from unit to number")
    for unit, amount in budget.items():
        is_number = isinstance(amount, int | float) and not isinstance(amount, bool) and math.isfinite(amount)
        if unit not in UNITS or not is_number or not 0 <= amount <= _MAX_AMOUNT:
            raise BadSetting(f"budget: {str(unit)[:64]!r} needs a number from 0 on; the units are {', '.join(UNITS)}")
    return dict(budget)


def checked_priority(priority: object) -> int:
    """A priority; raises BadSetting."""
    if isinstance(priority, bool) or not isinstance(priority, int) or abs(priority) > _MAX_PRIORITY:
        raise BadSetting(f"priority is a whole number from -{_MAX_PRIORITY} to {_MAX_PRIORITY}")
    return priority


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
