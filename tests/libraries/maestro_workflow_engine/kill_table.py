"""The kill matrix as a page."""

from typing import Any

HEAD = """# The kill matrix

`build-support/bin/kill-matrix` plays every scenario of the backend conformance suite in a process that is killed
(SIGKILL) right before, and in another one that is killed right after, each write of its journal. A new process then
opens what was left, and brings every unfinished workflow to its end. Looked for is:

- **lost**: what had been acknowledged (starts, commands, limits) and is not in the journal after the kill;
- **repeated**: a call of an attempt whose end had been durable;
- **changed**: an event that was durable, and is another one or gone;
- **hanging**: a workflow that cannot be brought to its end;
- **not replayable**: a history to which the law does not come again.

The default tests play one kill per scenario (`tests/libraries/maestro_workflow_engine/test_kill_matrix.py`).
Which writes share a transaction is a matter of time, so a run may have fewer writes than the one that was counted:
such a case ends unharmed, and is opened and looked at all the same.

"""


def page(rows: list[dict[str, Any]]) -> str:
    """The table of all scenarios, with what was found."""
    cases = [case for row in rows for case in row["cases"]]
    faults = sum(bool(case["faults"]) for case in cases)
    total = (
        f"{len(rows)} scenarios, {len(cases):,} cases, {sum(case['killed'] for case in cases):,} of them killed;"
        f" {sum(case['workflows'] for case in cases):,} workflows,"
        f" {sum(case['acknowledged'] for case in cases):,} acknowledgements and"
        f" {sum(case['ended'] for case in cases):,} ended attempts were looked at:"
        f" {faults or 'no'} {'case' if faults == 1 else 'cases'} with a fault.\n\n"
    )
    lines = ["| scenario | writes | killed | acknowledged | ended | faults |", "|---|--:|--:|--:|--:|---|"]
    for row in rows:
        found = sorted({fault for case in row["cases"] for fault in case["faults"]})
        killed = sum(case["killed"] for case in row["cases"])
        lines.append(
            f"| {row['scenario'].removeprefix('test_').replace('_', ' ')} | {row['writes']} | {killed}"
            f" | {sum(case['acknowledged'] for case in row['cases'])}"
            f" | {sum(case['ended'] for case in row['cases'])} | {'; '.join(found) or 'none'} |"
        )
    return HEAD + total + "\n".join(lines) + "\n"
