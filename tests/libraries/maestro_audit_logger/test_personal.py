"""Personal values: sealed in the log, erased with the key of their subject, and every proof as it was."""

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from libraries.maestro_audit_logger.audit_logs import KEYS, check, open_log

from maestro_audit_logger import JSON, AuditLog, AuditReader, InvalidEvent, KeyDamaged
from maestro_audit_logger._canonical import canonical
from maestro_audit_logger._personal import field_key, seal, unseal

KEY = bytes(range(32))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(st.characters(codec="utf-8")),
    lambda values: st.lists(values, max_size=3)
    | st.dictionaries(st.text(st.characters(codec="utf-8")), values, max_size=3),
    max_leaves=8,
)


def told(log: AuditLog, subject: str = "user:7", **values: JSON) -> None:
    """Append an entry with personal values."""
    log.append(actor="user:1", action="invite", object="team:1", personal={subject: values})


@given(json_values, st.integers(0, 2**40))
def test_what_is_sealed_opens_with_its_key_alone(value: JSON, seq: int) -> None:
    """It comes back as it was; with the key of another entry, subject or field it does not open."""
    text = canonical(value)
    key = field_key(KEY, seq, "user:7", "email")
    sealed = seal(key, text)
    assert unseal(key, sealed) == text
    for other in (
        field_key(KEY, seq + 1, "user:7", "email"),
        field_key(KEY, seq, "user:8", "email"),
        field_key(KEY, seq, "user:7", "name"),
        field_key(bytes(32), seq, "user:7", "email"),
    ):
        assert unseal(other, sealed) is None


@settings(deadline=None)
@given(st.text(st.characters(codec="utf-8"), max_size=40), st.data())
def test_a_sealed_value_that_was_changed_does_not_open(text: str, data: st.DataObject) -> None:
    """Not with one character turned, cut or added."""
    sealed = seal(KEY, text)
    place = data.draw(st.integers(0, len(sealed) - 1))
    letter = data.draw(st.sampled_from("ABCabc0189+/=é"))
    for changed in (sealed[:place] + letter + sealed[place + 1 :], sealed[:place], sealed + letter, ""):
        if changed != sealed:
            assert unseal(KEY, changed) is None


def test_equal_values_look_different_and_lengths_are_hidden() -> None:
    """The same value in two entries has nothing in common; short values of different lengths are equally long."""
    one, two = (seal(field_key(KEY, seq, "s", "f"), '"anna"') for seq in (1, 2))
    assert one[:8] != two[:8]
    assert one[-8:] != two[-8:]
    assert len({len(seal(KEY, "x" * size)) for size in range(32)}) == 1


def test_erasure_takes_the_values_and_leaves_the_proofs(tmp_path: Path) -> None:
    """After erase no value can be read from any file; hashes, checkpoints and proofs from before hold."""
    folder = tmp_path / "log"
    with open_log(folder) as log:
        told(log, email="anna@example.com", name="Anna")
        told(log, "user:8", email="bert@example.com")
        before, proof = log.checkpoint(), log.prove_inclusion(0)
        assert log.reveal(log.entry(0)) == {"user:7": {"email": "anna@example.com", "name": "Anna"}}
        key_files = {path: path.read_bytes() for path in (folder / "keys").rglob("*.key")}
        assert log.erase("user:7")
        assert not log.erase("user:7")
        assert log.reveal(log.entry(0)) == {"user:7": {"email": "[erased]", "name": "[erased]"}}
        assert log.conceal(log.entry(0)) == {"user:7": {"email": "[erased]", "name": "[erased]"}}
        assert log.reveal(log.entry(1)) == {"user:8": {"email": "bert@example.com"}}
        assert log.conceal(log.entry(1)) == {"user:8": {"email": "[protected]"}}
        erasures = [(entry.object, entry.details) for entry in log.query(action="audit.erase")]
        assert erasures == [("user:7", {"key": "destroyed"}), ("user:7", {"key": "absent"})]
        proof.verify(KEYS)
        log.prove_inclusion(0).verify(KEYS)
        log.prove_consistency(before).verify(before, KEYS)
    assert check(folder, [before]).sound
    left = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    gone = [key for path, key in key_files.items() if path not in left]
    assert len(gone) == 1
    for data in left.values():
        assert b"anna" not in data.lower()
        assert gone[0].split()[0] not in data


def test_the_key_file_is_overwritten_before_it_goes(tmp_path: Path) -> None:
    """Whoever kept the file open, or reads the blocks of the disk, finds other bytes where the key was."""
    with open_log(tmp_path / "log") as log:
        told(log, email="anna@example.com")
        (path,) = (tmp_path / "log/keys").rglob("*.key")
        with path.open("rb") as file:
            key = file.read()
            log.erase("user:7")
            file.seek(0)
            assert len(now := file.read()) == len(key)
            assert now != key


def test_a_subject_who_comes_back_gets_another_key(tmp_path: Path) -> None:
    """New values are readable; the erased ones stay erased."""
    with open_log(tmp_path / "log") as log:
        told(log, email="anna@example.com")
        log.erase("user:7")
        told(log, email="new@example.com")
        shown = [log.reveal(entry) for entry in log.query(action="invite")]
    assert shown == [{"user:7": {"email": "[erased]"}}, {"user:7": {"email": "new@example.com"}}]


def test_a_damaged_key_is_not_an_erasure(tmp_path: Path) -> None:
    """A key file with a bit turned is told as damaged; no new value is sealed with it; the log is sound without it."""
    with open_log(tmp_path / "log") as log:
        told(log, email="anna@example.com")
    (path,) = (tmp_path / "log/keys").rglob("*.key")
    whole = path.read_bytes()
    for bit in range(0, 8 * len(whole), 5):
        turned = bytearray(whole)
        turned[bit // 8] ^= 1 << bit % 8
        path.write_bytes(turned)
        reader = AuditReader(tmp_path / "log")
        assert reader.reveal(reader.entry(0)) == reader.conceal(reader.entry(0)) == {"user:7": {"email": "[damaged]"}}
    with open_log(tmp_path / "log") as log:
        with pytest.raises(KeyDamaged, match="damaged: restore it, or erase"):
            told(log, email="x")
        assert log.erase("user:7")
        told(log, email="x")
    assert check(tmp_path / "log").sound


def test_a_value_can_be_disclosed_without_the_others(tmp_path: Path) -> None:
    """The key of one field opens that field alone: an auditor needs no key of the subject."""
    with open_log(tmp_path / "log") as log:
        told(log, email="anna@example.com", name="Anna")
        sealed = json.loads(log.entry(0).line)["personal"]["user:7"]
        (path,) = (tmp_path / "log/keys").rglob("*.key")
        disclosed = field_key(bytes.fromhex(path.read_text().split()[0]), 0, "user:7", "email")
    assert unseal(disclosed, sealed["email"]) == '"anna@example.com"'
    assert unseal(disclosed, sealed["name"]) is None


def test_subjects_are_checked(tmp_path: Path) -> None:
    """An empty or unfit subject is refused when it is erased too."""
    with open_log(tmp_path / "log") as log, pytest.raises(InvalidEvent, match="subject"):
        log.erase("")
