"""What came of an attempt, as plain and bounded data."""

import json
import math
from typing import Any, Final

from maestro_workflow_engine._commands import StepFailed
from maestro_workflow_engine._errors import BadStepResult, OutputTooLarge
from maestro_workflow_engine._json import JSON, MAX_DEPTH

_MAX_MESSAGE: Final = 4000
_MAX_CODE: Final = 100

_encode: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


def plain(value: object, limit_bytes: int) -> tuple[JSON, str]:
    """A value as plain JSON data and as text; raises BadStepResult or OutputTooLarge.

    What comes back is a copy: nobody who still holds the original can change it.
    """
    try:
        text = _encode(value)
    except RecursionError as error:
        raise BadStepResult(f"the result is nested more than {MAX_DEPTH} levels deep") from error
    except (TypeError, ValueError) as error:
        raise BadStepResult(f"the result is not plain JSON: {_said(error)}") from error
    if len(text) > limit_bytes:
        raise OutputTooLarge(len(text), limit_bytes)
    if text.count("[") + text.count("{") > MAX_DEPTH and _is_deep(text):
        raise BadStepResult(f"the result is nested more than {MAX_DEPTH} levels deep")
    result: JSON = json.loads(text)
    if "\\ud" in text and not _is_unicode(result):
        raise BadStepResult("the result holds half of a surrogate pair, which is not valid text")
    return result, text


def _is_unicode(value: JSON) -> bool:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_deep(text: str) -> bool:
    try:
        level = [json.loads(text)]
    except RecursionError:
        return True
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for value in level:
            if isinstance(value, list):
                below += value
            elif isinstance(value, dict):
                below += value.values()
        level = [value for value in below if isinstance(value, list | dict)]
        if not level:
            return False
    return True


def failed(step: str, item: int | None, attempt: int, error: BaseException) -> StepFailed:
    """The command that reports an exception of a step; whatever the exception does, it is plain and bounded."""
    code = getattr(error, "code", None)
    if not isinstance(code, str) or not code:
        code = "workflow.step-raised"
        message = f"{type(error).__name__}: {_said(error)}"
    else:
        message = _said(error)
    retryable = getattr(error, "retryable", True)
    after_s = getattr(error, "retry_after_s", None)
    if isinstance(after_s, bool) or not isinstance(after_s, int | float) or not math.isfinite(after_s) or after_s < 0:
        after_s = None
    return StepFailed(
        step,
        item,
        attempt,
        code=_sound(code[:_MAX_CODE]),
        message=_bounded(message),
        retryable=retryable if isinstance(retryable, bool) else True,
        retry_after_s=after_s,
    )


def _said(error: BaseException) -> str:
    try:
        return _sound(str(error))
    except Exception as problem:  # whatever a foreign __str__ raises
        return f"(its text cannot be read: {type(problem).__name__})"


def _sound(text: str) -> str:
    """The text with a question mark for each half of a surrogate pair, as names of files may hold them."""
    return text.encode("utf-8", "replace").decode()


def _bounded(text: str) -> str:
    if len(text) <= _MAX_MESSAGE:
        return text
    half = _MAX_MESSAGE // 2
    return f"{text[:half]} … {len(text) - 2 * half} characters left out … {text[-half:]}"
