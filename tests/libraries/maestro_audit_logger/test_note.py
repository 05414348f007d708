"""Checkpoints and proofs as texts: the examples of their specifications, and texts that are nearly right."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from libraries.maestro_audit_logger.audit_logs import KEYS, ORIGIN, SIGNER, event, make_log, open_log

from maestro_audit_logger import (
    AuditReader,
    Checkpoint,
    ConsistencyProof,
    HmacSigner,
    InclusionProof,
    InvalidNote,
    InvalidProof,
    InvalidSetup,
    NoteKey,
)
from maestro_audit_logger._note import ED25519_TYPE, check_origin, parse_checkpoints
from maestro_audit_logger._signer import sign_checkpoint

# The example of c2sp.org/tlog-checkpoint.
EXAMPLE = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
    "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xe"
    "McTOAYQ8=\n"
)
# The public key of Go's checksum database, as Go's own source has it.
SUMDB_KEY = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"


def test_the_example_of_the_specification() -> None:
    """It reads, and is written again byte for byte."""
    checkpoint = Checkpoint.parse(EXAMPLE)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.note == EXAMPLE
    assert len(checkpoint.signatures[0][1]) == 68


def test_a_key_of_go_is_read() -> None:
    """The key format is that of Go's sumdb, hash included."""
    key = NoteKey.parse(SUMDB_KEY)
    assert (key.name, key.kind, key.key_id.hex()) == ("sum.golang.org", ED25519_TYPE, "033de0ae")
    assert key.text() == SUMDB_KEY


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "\n" * 5,
        EXAMPLE[:-1],
        EXAMPLE + "\n",
        EXAMPLE + "more\n",
        EXAMPLE.replace("\n", "\r\n"),
        EXAMPLE.replace("20852163", "020852163"),
        EXAMPLE.replace("20852163", "-1"),
        EXAMPLE.replace("20852163", "２"),
        EXAMPLE.replace("20852163", "9" * 30),
        EXAMPLE.replace("q2I=", "q2J="),
        EXAMPLE.replace("q2I=", "q2I"),
        EXAMPLE.replace("CsUY", "CsU*"),
        EXAMPLE.replace("CsUY", ""),
        EXAMPLE.replace("— ", "- "),
        EXAMPLE.replace("YQ8=", "YQ9="),
        EXAMPLE.replace("jxq2I=\n", "jxq2I=\nextension\n"),
        " " + EXAMPLE,
        EXAMPLE * 400,
    ],
)
def test_what_is_nearly_a_checkpoint_is_none(bad: str) -> None:
    """One text for one checkpoint: other line ends, zeros in front, loose base64 and extension lines are refused."""
    with pytest.raises(InvalidNote):
        Checkpoint.parse(bad)


@given(st.text(max_size=200))
def test_any_text_is_a_checkpoint_or_an_error_that_is_named(text: str) -> None:
    """No text makes the readers of checkpoints, keys and proofs fail in another way."""
    for read in (Checkpoint.parse, NoteKey.parse, InclusionProof.parse, ConsistencyProof.parse):
        with pytest.raises((InvalidNote, InvalidProof)):
            read(text)
    if text.strip("\n"):
        with pytest.raises(InvalidNote):
            list(parse_checkpoints(text))


def test_a_signature_is_needed_and_must_be_right() -> None:
    """No key, another key, and a wrong signature of a known key are refused, also beside a right one."""
    signed = sign_checkpoint(Checkpoint(ORIGIN, 0, bytes(32)), SIGNER)
    other = HmacSigner.generate("other.example")
    both = sign_checkpoint(signed, other)
    assert both.signed_by(KEYS) == ORIGIN
    assert both.signed_by([other.note_key]) == "other.example"
    for checkpoint, keys in ((signed, [other.note_key]), (signed, []), (Checkpoint(ORIGIN, 0, bytes(32)), KEYS)):
        with pytest.raises(InvalidNote, match="not signed by a key that was given"):
            checkpoint.signed_by(keys)
    name, value = signed.signatures[0]
    wrong = Checkpoint(ORIGIN, 0, bytes(32), (*signed.signatures, (name, value[:-1] + b"x")))
    with pytest.raises(InvalidNote, match="is wrong"):
        wrong.signed_by(KEYS)


def test_secrets_do_not_show() -> None:
    """Neither repr nor error holds a key."""
    key = SIGNER.note_key
    assert key.material.hex() not in repr(key)
    assert repr(key.material) not in repr(key)
    text = key.text()
    with pytest.raises(InvalidNote) as caught:
        NoteKey.parse(text.replace("+", "+0", 1))
    assert text.rpartition("+")[2] not in str(caught.value)
    with pytest.raises(InvalidSetup):
        HmacSigner(ORIGIN, b"short")
    for name in ("", "a b", "a+b", "a\nb", "x" * 256):
        with pytest.raises(InvalidNote):
            HmacSigner(name, bytes(32))
    assert not check_origin(" padded ")


def test_proofs_travel_as_text(tmp_path: Path) -> None:
    """Both kinds read back as they were, by their specifications' form, and verify with nothing else."""
    older = make_log(tmp_path / "log", 5)
    with open_log(tmp_path / "log") as log:
        log.append_many([event(5), event(6)])
    reader = AuditReader(tmp_path / "log")
    inclusion, consistency = reader.prove_inclusion(3), reader.prove_consistency(older)
    assert inclusion.text().startswith("c2sp.org/tlog-proof@v1\nextra ")
    assert consistency.text().startswith("old 5\n")
    assert InclusionProof.parse(inclusion.text()) == inclusion
    assert ConsistencyProof.parse(consistency.text()) == consistency
    InclusionProof.parse(inclusion.text()).verify(KEYS)
    ConsistencyProof.parse(consistency.text()).verify(older, KEYS)


def test_every_bit_of_a_proof_counts(tmp_path: Path) -> None:
    """With any bit of its text turned, a proof of inclusion is refused, and so is one of consistency."""
    older = make_log(tmp_path / "log", 5)
    reader = AuditReader(tmp_path / "log")
    inclusion, consistency = reader.prove_inclusion(3).text(), reader.prove_consistency(older).text()

    def read_inclusion(data: bytes) -> None:
        InclusionProof.parse(data.decode()).verify(KEYS)

    def read_consistency(data: bytes) -> None:
        ConsistencyProof.parse(data.decode()).verify(older, KEYS)

    for text, read in ((inclusion, read_inclusion), (consistency, read_consistency)):
        data = bytearray(text.encode())
        read(bytes(data))
        for bit in range(8 * len(data)):
            data[bit // 8] ^= 1 << bit % 8
            with pytest.raises((InvalidNote, InvalidProof, UnicodeDecodeError)):
                read(bytes(data))
            data[bit // 8] ^= 1 << bit % 8
