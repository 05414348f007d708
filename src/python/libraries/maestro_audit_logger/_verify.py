"""The command that verifies, the same in `maestro-audit verify` and in the stand-alone file."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from maestro_audit_logger._check import Report, check_log
from maestro_audit_logger._errors import AuditError, InvalidNote, InvalidProof, InvalidSetup
from maestro_audit_logger._note import Checkpoint, NoteKey, parse_checkpoints
from maestro_audit_logger._proof import MAX_PROOF_CHARS, ConsistencyProof, InclusionProof

SOUND, NOT_SOUND, NOT_CHECKED = 0, 1, 2
_PROGRESS_STEP = 65_536


def add_verify_arguments(parser: argparse.ArgumentParser) -> None:
    """What can be given to the command."""
    parser.add_argument("path", type=Path, help="the folder of a log, or a file with a proof")
    parser.add_argument("--key", type=Path, metavar="FILE", help="trusted keys, one a line: name+hash+base64")
    parser.add_argument(
        "--checkpoint",
        type=Path,
        action="append",
        default=[],
        metavar="FILE",
        help="checkpoints that were kept elsewhere, as `maestro-audit witness` writes them; repeatable",
    )


def read_keys(path: Path | None) -> list[NoteKey]:
    """The keys of a file; empty lines and those that begin with # are none. Raises InvalidNote."""
    lines = path.read_text(encoding="utf-8").splitlines() if path is not None else []
    keys = [NoteKey.parse(line) for line in lines if line.strip() and not line.startswith("#")]
    if path is not None and not keys:
        raise InvalidNote(f"{path} holds no key")
    return keys


def run_verify(asked: argparse.Namespace) -> int:
    """Verify what was asked for and print what was found; returns the exit code."""
    keys = read_keys(asked.key)
    checkpoints = [
        checkpoint
        for path in asked.checkpoint
        for checkpoint in parse_checkpoints(path.read_bytes().decode("utf-8", "replace"))
    ]
    if not asked.path.is_dir():
        return _verify_proof(asked.path, keys, checkpoints)
    report = check_log(asked.path, keys=keys, checkpoints=checkpoints, progress=_progress())
    _print_report(report, given=len(checkpoints))
    return SOUND if report.sound else NOT_SOUND


def _progress() -> Callable[[int], None] | None:
    """A counter on the terminal, where standard error is one."""
    if not sys.stderr.isatty():
        return None
    shown = 0

    def show(count: int) -> None:
        nonlocal shown
        if count - shown >= _PROGRESS_STEP:
            shown = count
            sys.stderr.write(f"\r{count:,} entries checked\x1b[K")
            sys.stderr.flush()

    return show


def _print_report(report: Report, given: int) -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
    print(f"{'sound' if report.sound else 'NOT SOUND'}: {report.origin or 'a log without a name'}")
    removed = f", of which retention removed the first {report.removed:,}" if report.removed else ""
    print(f"  entries    {report.size:,}{removed}")
    print(f"  root       {report.root.hex() or '-'}")
    print(f"  signed by  {report.signed_by or 'not checked: no --key was given'}")
    outside = (
        f"with {given} kept elsewhere"
        if given
        else "none kept elsewhere was given: a log rolled back whole looks sound"
    )
    print(f"  compared   {report.compared} checkpoint{'s' * (report.compared != 1)}, {outside}")
    for note in report.notes:
        print(f"  note       {note}")
    for problem in report.problems:
        print(f"  PROBLEM    {problem}")


def _verify_proof(path: Path, keys: Sequence[NoteKey], checkpoints: Sequence[Checkpoint]) -> int:
    with path.open(encoding="utf-8", newline="") as file:
        text = file.read(MAX_PROOF_CHARS + 1)
    try:
        if text.startswith("old "):
            said = _verify_consistency(ConsistencyProof.parse(text), keys, checkpoints)
        else:
            said = _verify_inclusion(InclusionProof.parse(text), keys)
    except (InvalidProof, InvalidNote) as error:
        print(f"NOT SOUND: {error}")
        return NOT_SOUND
    print(f"sound: {said}")
    print(f"  signed by  {'checked' if keys else 'not checked: no --key was given'}")
    return SOUND


def _verify_inclusion(proof: InclusionProof, keys: Sequence[NoteKey]) -> str:
    if keys:
        proof.verify(keys)
    proof.verify_hashes()
    line = proof.line.decode("utf-8", "replace")
    shown = "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in line)
    return f"entry {proof.index} of the {proof.checkpoint.size:,} in {proof.checkpoint.origin} is\n  {shown}"


def _verify_consistency(proof: ConsistencyProof, keys: Sequence[NoteKey], checkpoints: Sequence[Checkpoint]) -> str:
    old = [checkpoint for checkpoint in checkpoints if checkpoint.size == proof.old_size]
    if not old:
        raise InvalidSetup(f"give the checkpoint of {proof.old_size} with --checkpoint: the proof begins there")
    for checkpoint in old:
        if keys:
            proof.verify(checkpoint, keys)
        proof.verify_hashes(checkpoint)
    new = proof.checkpoint
    return (
        f"{new.origin} with {new.size:,} entries begins with the {proof.old_size:,} of the older checkpoint, unchanged"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """The stand-alone command: 0 sound, 1 not sound, 2 could not be checked."""
    parser = argparse.ArgumentParser(
        description="Verify an audit log, or a proof from one.",
        epilog="exit codes: 0 sound, 1 not sound, 2 could not be checked",
    )
    add_verify_arguments(parser)
    try:
        return run_verify(parser.parse_args(arguments))
    except (AuditError, OSError, UnicodeDecodeError) as error:
        print(f"could not be checked: {error}", file=sys.stderr)
        return NOT_CHECKED
