"""The witness: takes checkpoints that continue each other, and proves it when one does not."""

from pathlib import Path

import pytest
from libraries.maestro_audit_logger.audit_logs import KEYS, check, event, make_log, open_log

from maestro_audit_logger import AuditReader, HmacSigner, InvalidNote, InvalidProof, NotInLog, read_checkpoints, witness


def test_it_collects_checkpoints(tmp_path: Path) -> None:
    """Each new checkpoint is added once; all of them are compared by a check."""
    file = tmp_path / "elsewhere"
    for turn in range(4):
        with open_log(tmp_path / "log") as log:
            log.append_many([event(turn)])
        taken = witness(AuditReader(tmp_path / "log"), file, KEYS)
        assert taken is not None
        assert taken.size == turn + 1
        assert witness(AuditReader(tmp_path / "log"), file, KEYS) is None
    known = read_checkpoints(file)
    assert [checkpoint.size for checkpoint in known] == [1, 2, 3, 4]
    report = check(tmp_path / "log", known)
    assert report.sound
    assert report.compared == 5


def test_unsigned_checkpoints_are_collected_too(tmp_path: Path) -> None:
    """The file reads back, with no signature in it."""
    file = tmp_path / "elsewhere"
    for turn in range(3):
        with open_log(tmp_path / "log", signer=None) as log:
            log.append_many([event(turn)])
        witness(AuditReader(tmp_path / "log"), file)
    assert [(checkpoint.size, checkpoint.signatures) for checkpoint in read_checkpoints(file)] == [
        (1, ()),
        (2, ()),
        (3, ()),
    ]


def test_a_rewritten_log_is_not_witnessed(tmp_path: Path) -> None:
    """Another history, longer or equally long, a shorter one, and another key are refused; the file stays as it is."""
    file = tmp_path / "elsewhere"
    make_log(tmp_path / "log", 3)
    witness(AuditReader(tmp_path / "log"), file, KEYS)
    before = file.read_bytes()
    for name, count in (("longer", 9), ("equal", 3)):
        with open_log(tmp_path / name) as log:
            log.append_many([event(n + 1) for n in range(count)])
        with pytest.raises(InvalidProof):
            witness(AuditReader(tmp_path / name), file, KEYS)
    make_log(tmp_path / "shorter", 2)
    with pytest.raises(NotInLog, match="newer than the log's own"):
        witness(AuditReader(tmp_path / "shorter"), file, KEYS)
    with open_log(tmp_path / "log") as log:
        log.append_many([event(3)])
    with pytest.raises(InvalidNote, match="not signed by a key"):
        witness(AuditReader(tmp_path / "log"), file, [HmacSigner.generate("other").note_key])
    assert file.read_bytes() == before


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    """A file of checkpoints that is cut, joined or no text at all is refused with its name."""
    file = tmp_path / "elsewhere"
    make_log(tmp_path / "log", 3)
    witness(AuditReader(tmp_path / "log"), file, KEYS)
    note = file.read_bytes()
    for bad in (note[:-1], note[:20], note + note, b"\xff" + note, note + b"\n" + note[:-30], b"x"):
        file.write_bytes(bad)
        with pytest.raises(InvalidNote, match="elsewhere"):
            witness(AuditReader(tmp_path / "log"), file, KEYS)
    file.write_bytes(b"")
    assert witness(AuditReader(tmp_path / "log"), file, KEYS) is not None
