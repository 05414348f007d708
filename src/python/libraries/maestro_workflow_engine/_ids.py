"""The ids of workflows."""

import os
import re
from datetime import datetime
from typing import Final

from maestro_workflow_engine._errors import InvalidInputs
from maestro_workflow_engine._problems import Problem

# An id names a folder and stands in URLs: no separators, no leading dot.
_ALLOWED: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_MAX_TEXT: Final = 4096
_MAX_LABELS: Final = 64
_MAX_LABEL: Final = 256


def new_workflow_id(now: datetime) -> str:
    """A UUID of version 7: ids sort by the time of the start."""
    number = (int(now.timestamp() * 1000) << 80) | int.from_bytes(os.urandom(10), "big")
    number = (number & ~(0xF << 76)) | (7 << 76)
    number = (number & ~(0x3 << 62)) | (0x2 << 62)
    text = f"{number:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def check_workflow_id(workflow_id: str) -> None:
    """Raises InvalidInputs for an id that cannot be used."""
    if not may_be_workflow_id(workflow_id):
        message = f"{workflow_id[:40]!r}: a workflow id has 1 to 128 letters, digits, '.', '_' or '-', no dot in front"
        raise InvalidInputs([Problem("", message, "inputs.bad-workflow-id")])


def may_be_workflow_id(text: str) -> bool:
    """Whether any workflow can have this id."""
    return _ALLOWED.fullmatch(text) is not None


def check_text(text: str | None, what: str) -> None:
    """Raises InvalidInputs for a text that cannot be stored."""
    if text is not None and (len(text) > _MAX_TEXT or not _is_unicode(text)):
        message = f"{what}: at most {_MAX_TEXT} characters of Unicode text were expected"
        raise InvalidInputs([Problem("", message, "inputs.bad-text")])


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_labels(labels: dict[str, str]) -> None:
    """Raises InvalidInputs for labels that are no short strings, or too many."""
    sound = len(labels) <= _MAX_LABELS and all(
        isinstance(text, str) and len(text) <= _MAX_LABEL and _is_unicode(text)
        for pair in labels.items()
        for text in pair
    )
    if not sound:
        message = f"labels: at most {_MAX_LABELS}, each name and value at most {_MAX_LABEL} characters of Unicode text"
        raise InvalidInputs([Problem("", message, "inputs.bad-labels")])
