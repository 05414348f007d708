"""How a workflow ended, for a person: its outputs, where its artifacts lie, or why it failed and what to do."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from maestro_cli._screen import Look
from maestro_cli._text import duration_text, plain, size_text

_REF_KEYS: Final = frozenset({"sha256", "size_bytes", "media_type"})
_LONGEST_VALUE = 300

_HINTS: Final[Mapping[str, str]] = {
    "workflow.step-timed-out": "Give the step a longer timeout_s, or see why it hangs.",
    "workflow.expression-failed": "See what the step before gave: maestro run … --json shows every output.",
    "workflow.output-too-large": "Write large results to a file and hand it on as an artifact.",
    "workflow.unknown-step-kind": "Install the wheel that brings this kind of step.",
    "workflow.bad-arguments": "Mend `with` of the step; maestro validate FILE checks what can be known before.",
}


def is_artifact(value: object) -> bool:
    """Whether an output is a reference to an artifact."""
    return isinstance(value, Mapping) and value.keys() >= _REF_KEYS and isinstance(value["size_bytes"], int)


def artifacts_in(value: object) -> Iterator[Mapping[str, Any]]:
    """Every artifact that a state names, wherever it stands in it; one that stands twice comes twice."""
    if is_artifact(value):
        yield value  # type: ignore[misc]  # is_artifact says that it is a mapping
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from artifacts_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from artifacts_in(each)


def result_lines(
    state: Mapping[str, Any], paths: Mapping[str, Path], look: Look, took_s: float | None
) -> Iterator[str]:
    """The last lines of a run; `state` is the state as JSON, `paths` says where each artifact lies, by its digest."""
    status = state["status"]
    symbol = {"succeeded": "✓", "failed": "✗"}.get(status, "■") if look.symbols else {"succeeded": "+"}.get(status, "x")
    colour = {"succeeded": "1;32", "failed": "1;31"}.get(status, "1;33")
    tail = " · ".join(part for part in (duration_text(took_s), *_counts(state["steps"])) if part)
    yield ""
    ended = f"{symbol} {plain(state['name'])} {status}"
    yield f"  {look.paint(colour, ended)}  {look.paint('2', tail)}"
    if status == "failed":
        yield from _failure_lines(state, look)
    elif status == "succeeded":
        yield from _output_lines(state, paths, look)


def _counts(steps: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """How many steps there are, and how many of them never began."""
    yield f"{len(steps)} steps" if len(steps) != 1 else "1 step"
    left = sum(step.get("status") in ("pending", "scheduled") for step in steps.values())
    if left:
        yield f"{left} not begun"


def _failure_lines(state: Mapping[str, Any], look: Look) -> Iterator[str]:
    error = state.get("error") or {}
    where = f"step {state['failed_step']}" if state.get("failed_step") else "the workflow"
    if state.get("failed_item") is not None:
        where += f", item {state['failed_item']}"
    yield ""
    yield f"    {where}: {look.paint('2', str(error.get('code', '')))}"
    for line in str(error.get("message", "")).splitlines() or [""]:
        yield f"    {plain(line)}"
    hint = _hint(state, error)
    if hint:
        yield ""
        yield f"    {look.paint('2', hint)}"


def _hint(state: Mapping[str, Any], error: Mapping[str, Any]) -> str:
    known = _HINTS.get(str(error.get("code")))
    if known is not None:
        return known
    step = state["steps"].get(state.get("failed_step"), {})
    if error.get("retryable") and step.get("attempt", 1) <= 1:
        return "If this comes and goes, let the step try again: `retry: 3`."
    return ""


def _output_lines(state: Mapping[str, Any], paths: Mapping[str, Path], look: Look) -> Iterator[str]:
    outputs = state.get("outputs")
    if outputs is None and "outputs_ref" in state:
        outputs = {"outputs": state["outputs_ref"]}
    named: list[tuple[str, object]] = list(outputs.items()) if isinstance(outputs, Mapping) else []
    if outputs is not None and not isinstance(outputs, Mapping):
        named = [("output", outputs)]
    shown = {value["sha256"] for _, value in named if is_artifact(value) and isinstance(value, Mapping)}
    for artifact in artifacts_in(state["steps"]):
        if artifact["sha256"] not in shown:
            shown.add(artifact["sha256"])
            named.append((str(artifact.get("name") or "value"), artifact))
    if named:
        yield ""
    width = max((len(name) for name, _ in named), default=0)
    for name, value in named:
        lines = _value_lines(value, paths, look)
        yield f"    {look.paint('1', plain(name))}{' ' * (width - len(name))}  {next(lines)}"
        for line in lines:
            yield f"    {' ' * width}  {line}"


def _value_lines(value: Any, paths: Mapping[str, Path], look: Look) -> Iterator[str]:
    if is_artifact(value):
        about = (value.get("name"), size_text(value["size_bytes"]), value["media_type"])
        path = paths.get(value["sha256"])
        yield plain(" · ".join(str(part) for part in about if part))
        yield look.paint("36", str(path)) if path is not None else "(no longer in the store)"
        return
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    yield plain(text) if len(text) <= _LONGEST_VALUE else plain(text[:_LONGEST_VALUE]) + "… (--json shows all)"
