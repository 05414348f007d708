"""A witness: checkpoints kept where the owner of the log cannot write, each taken only if it continues the last."""

from collections.abc import Sequence
from pathlib import Path

from maestro_audit_logger._disk import Disk
from maestro_audit_logger._errors import InvalidNote
from maestro_audit_logger._note import Checkpoint, NoteKey, parse_checkpoints
from maestro_audit_logger._reader import AuditReader

_MAX_FILE_BYTES = 256 * 2**20


def read_checkpoints(path: Path | str) -> list[Checkpoint]:
    """The checkpoints in a file, oldest first; raises InvalidNote. Signatures are not checked here."""
    path = Path(path)
    if path.stat().st_size > _MAX_FILE_BYTES:
        raise InvalidNote(f"{path} is larger than {_MAX_FILE_BYTES} bytes")
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return list(parse_checkpoints(file.read()))
    except (InvalidNote, UnicodeDecodeError) as error:
        raise InvalidNote(f"{path}: {error}") from error


def witness(reader: AuditReader, path: Path | str, keys: Sequence[NoteKey] = ()) -> Checkpoint | None:
    """Add the log's newest checkpoint to a file of checkpoints; None if the file has it already.

    Raises InvalidProof where the log does not continue the last checkpoint in the file, InvalidNote where no key signed
    it, and NotInLog where the log has become shorter: then the log was rewritten, and the file proves it.
    """
    path = Path(path)
    known = read_checkpoints(path) if path.exists() else []
    if known:
        proof = reader.prove_consistency(known[-1])
        newest = proof.checkpoint
    else:
        newest = reader.last_checkpoint()
    if keys:
        newest.signed_by(keys)
    if known and newest.size == known[-1].size:
        return None
    disk = Disk()
    file = disk.open(path)
    try:
        disk.write(file, (("\n" if known else "") + newest.note).encode())
        disk.sync(file)
    finally:
        disk.close(file)
    return newest
