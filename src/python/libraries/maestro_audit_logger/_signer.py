"""Who signs checkpoints: the shape of a signer, and one by HMAC that needs nothing else."""

import hmac
import secrets
from dataclasses import replace
from typing import Protocol

from maestro_audit_logger._errors import InvalidSetup
from maestro_audit_logger._note import HMAC_TYPE, Checkpoint, NoteKey, check_key_name


class Signer(Protocol):
    """Signs checkpoints; an Ed25519 key in a KMS or an HSM fits this shape too."""

    @property
    def note_key(self) -> NoteKey:
        """What verifies the signatures; its name stands below the note, and is by convention that of the log."""

    def sign(self, message: bytes) -> bytes:
        """Sign the message; is called from the thread that commits."""


class HmacSigner:
    """Signs with HMAC-SHA256, which needs nothing installed: but whoever can verify can also sign.

    Ed25519 (the extra `signing`) gives those who verify no secret.
    """

    def __init__(self, name: str, secret: bytes) -> None:
        if len(secret) != 32:
            raise InvalidSetup(f"an HMAC key has 32 random bytes, not {len(secret)}; HmacSigner.generate makes one")
        self.note_key = NoteKey(check_key_name(name), HMAC_TYPE, bytes(secret))

    @classmethod
    def generate(cls, name: str) -> "HmacSigner":
        """A signer with a new key."""
        return cls(name, secrets.token_bytes(32))

    def sign(self, message: bytes) -> bytes:
        """Sign the message."""
        return hmac.digest(self.note_key.material, message, "sha256")


def sign_checkpoint(checkpoint: Checkpoint, signer: Signer | None) -> Checkpoint:
    """The checkpoint with the signature of `signer`; as it is where there is none."""
    if signer is None:
        return checkpoint
    value = signer.note_key.key_id + signer.sign(checkpoint.text.encode())
    return replace(checkpoint, signatures=(*checkpoint.signatures, (signer.note_key.name, value)))
