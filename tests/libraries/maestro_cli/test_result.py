"""The end of a run tells what came out and where it lies, or why it failed and what to do."""

from pathlib import Path
from typing import Any

from maestro_cli._result import artifacts_in, result_lines
from maestro_cli._screen import Look

PLAIN = Look(colour=False, symbols=True)
REPORT = {"sha256": "a" * 64, "size_bytes": 5222, "media_type": "text/markdown", "name": "report.md"}
OTHER = {"sha256": "b" * 64, "size_bytes": 10, "media_type": "text/plain", "name": "log.txt"}


def state(**fields: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": "sample",
        "status": "succeeded",
        "outputs": None,
        "error": None,
        "failed_step": None,
        "steps": {"one": {"status": "succeeded", "attempt": 1}},
    }
    return made | fields


def text_of(document: dict[str, Any], paths: dict[str, Path] | None = None) -> str:
    return "\n".join(result_lines(document, paths or {}, PLAIN, 4.2))


def test_outputs_are_listed_with_where_their_artifacts_lie() -> None:
    """A value stands beside its name; an artifact shows its name, size, type and absolute path."""
    text = text_of(state(outputs={"commits": 24, "report": REPORT}), {"a" * 64: Path("/data/artifacts/aa")})
    assert "✓ sample succeeded  4.2 s · 1 step" in text
    assert "    commits  24\n" in text
    assert "    report   report.md · 5.1 KiB · text/markdown\n             /data/artifacts/aa" in text


def test_artifacts_that_are_no_output_are_listed_too_and_only_once() -> None:
    """What a step kept lies somewhere even when no output names it."""
    steps = {"one": {"artifacts": [REPORT, OTHER], "output": {"artifacts": {"report": REPORT}}}}
    text = text_of(state(outputs={"report": REPORT}, steps=steps), {"b" * 64: Path("/data/artifacts/bb")})
    assert text.count("report.md") == 1
    assert "log.txt · 10 bytes" in text
    assert "/data/artifacts/bb" in text


def test_a_failure_names_the_step_its_error_and_what_to_do() -> None:
    """A step that failed at its first attempt with an error that may pass is told to retry."""
    failed = state(
        status="failed",
        failed_step="one",
        error={"code": "workflow.http-failed", "message": "no answer\nfrom there", "retryable": True},
    )
    text = text_of(failed)
    assert "✗ sample failed" in text
    assert "step one: workflow.http-failed" in text
    assert "    no answer\n    from there" in text
    assert "retry: 3" in text


def test_a_failure_names_the_item_of_a_map() -> None:
    """Of a mapped step, the item that failed is told beside the step."""
    error = {"code": "workflow.shell-failed", "message": "m"}
    failed = state(status="failed", failed_step="one", failed_item=0, error=error)
    assert "step one, item 0: workflow.shell-failed" in text_of(failed)


def test_no_hint_is_better_than_a_wrong_one() -> None:
    """An error that no retry mends, and that we know nothing of, gets no advice."""
    failed = state(status="failed", failed_step="one", error={"code": "x", "message": "m", "retryable": False})
    assert "retry" not in text_of(failed)


def test_a_long_value_is_cut_and_says_so() -> None:
    """One output never floods the terminal."""
    text = text_of(state(outputs={"all": list(range(1000))}))
    assert len(text) < 500
    assert "--json shows all" in text


def test_artifacts_are_found_wherever_they_stand() -> None:
    """References inside lists and mappings are found; other mappings are not taken for one."""
    assert list(artifacts_in({"a": [{"b": REPORT}], "c": {"sha256": "x"}})) == [REPORT]
