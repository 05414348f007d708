"""The extra `signing`: Ed25519 notes; and the bare wheel, which does without."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from libraries.maestro_audit_logger.audit_logs import ORIGIN, event, open_log

from kit.processes import import_path
from maestro_audit_logger import InvalidSetup, check_log
from maestro_audit_logger.signing import Ed25519Signer

BARE = """
import sys
sys.modules["cryptography"] = None
import maestro_audit_logger, maestro_audit_logger.testing, maestro_audit_logger._command
try:
    import maestro_audit_logger.signing
except ImportError as error:
    print(error)
"""


def test_the_bare_wheel_needs_no_extra() -> None:
    """Without cryptography all but the extra's door imports, and that door says what to install."""
    environment = {**os.environ, "PYTHONPATH": import_path()}
    done = subprocess.run(
        [sys.executable, "-c", BARE], env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == (
        "maestro_audit_logger.signing needs the extra: pip install 'maestro-audit-logger[signing]'\n"
    )


def test_ed25519_checkpoints_verify_by_cryptography_too(tmp_path: Path) -> None:
    """The signature below a checkpoint is plain Ed25519 over its three lines, as signed-note says."""
    signer = Ed25519Signer.generate(ORIGIN)
    with open_log(tmp_path / "log", signer=signer) as log:
        log.append_many([event(0)])
        checkpoint = log.checkpoint()
    ((name, value),) = checkpoint.signatures
    assert name == ORIGIN
    assert value[:4] == signer.note_key.key_id
    key = ed25519.Ed25519PublicKey.from_public_bytes(signer.note_key.material)
    key.verify(value[4:], checkpoint.text.encode())
    assert check_log(tmp_path / "log", keys=[signer.note_key]).signed_by == ORIGIN


def test_keys_come_from_pem() -> None:
    """PKCS #8, plain or encrypted; a wrong password, another kind of key and no key are refused."""
    key = ed25519.Ed25519PrivateKey.generate()
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    signer = Ed25519Signer.from_pem(ORIGIN, plain)
    assert signer.to_pem() == plain
    assert Ed25519Signer.from_pem(ORIGIN, locked, b"secret").note_key == signer.note_key
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for pem, password in ((locked, None), (locked, b"wrong"), (other, None), (b"", None), (b"x" * 100, None)):
        with pytest.raises(InvalidSetup, match=ORIGIN):
            Ed25519Signer.from_pem(ORIGIN, pem, password)
