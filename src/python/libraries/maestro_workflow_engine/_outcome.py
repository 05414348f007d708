"""What came of an attempt, as plain and bounded data."""

import json
import math
from collections.abc import Mapping
from typing import Any, Final

from maestro_workflow_engine._commands import StepFailed
from maestro_workflow_engine._definition import UNITS
from maestro_workflow_engine._errors import BadStepResult, OutputTooLarge
from maestro_workflow_engine._json import JSON, MAX_DEPTH
from maestro_workflow_engine._secrets import Masker

_MAX_MESSAGE: Final = 4000
_MAX_CODE: Final = 100
_NOTED_BYTES: Final = 64 << 10

_encode: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
_decode: Final = json.JSONDecoder().raw_decode


def plain(value: object, limit_bytes: int, masker: Masker | None = None) -> tuple[JSON, str]:
    """A value as plain JSON data and as text, without secrets; raises BadStepResult or OutputTooLarge.

    What comes back is a copy: nobody who still holds the original can change it.
    """
    result, text = _copied(value, limit_bytes)
    if masker is None or not masker.longest:
        return result, text
    clean = masker.value(result)
    return clean, _encode(clean)


def noted(value: object, what: str) -> JSON:
    """A value that the journal keeps for later, as plain and short JSON data; raises BadStepResult."""
    if value is None:
        return None
    try:
        return _copied(value, _NOTED_BYTES)[0]
    except OutputTooLarge as error:
        raise BadStepResult(f"{what} has more than {_NOTED_BYTES >> 10} KiB as JSON") from error


def used(usage: object) -> tuple[dict[str, float] | None, str | None]:
    """What a step kind has noted of its usage, as far as that is sound, and what is not; None when there is nothing."""
    if not usage:
        return None, None
    if not isinstance(usage, Mapping):
        return None, f"{type(usage).__name__}"
    sound: dict[str, float] = {}
    unsound = None
    for unit, amount in usage.items():
        is_number = isinstance(amount, int | float) and not isinstance(amount, bool)
        if unit in UNITS and is_number and math.isfinite(amount) and amount >= 0:
            sound[unit] = amount
        else:
            unsound = f"{unit!r:.40}: {amount!r:.40}"
    return sound or None, unsound


def _copied(value: object, limit_bytes: int) -> tuple[JSON, str]:
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
    result: JSON = _decode(text)[0]
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


def failed(
    step: str,
    item: int | None,
    attempt: int,
    error: BaseException,
    *,
    masker: Masker | None = None,
    usage: Mapping[str, float] | None = None,
) -> StepFailed:
    """The command that reports an exception of a step; whatever the exception does, it is plain and bounded."""
    code = getattr(error, "code", None)
    if not isinstance(code, str) or not code:
        code = "workflow.step-raised"
        message = f"{type(error).__name__}: {_said(error)}"
    else:
        message = _said(error)
    if masker is not None:
        code, message = masker.text(code), masker.text(message)
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
        usage=usage,
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
