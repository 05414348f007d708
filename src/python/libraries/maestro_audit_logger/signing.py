"""Ed25519 signatures for checkpoints, with the extra `signing`; verifying them needs no extra."""

try:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
except ImportError as error:
    raise ImportError(
        "maestro_audit_logger.signing needs the extra: pip install 'maestro-audit-logger[signing]'"
    ) from error

from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from maestro_audit_logger._errors import InvalidSetup
from maestro_audit_logger._note import ED25519_TYPE, NoteKey, check_key_name


class Ed25519Signer:
    """Signs checkpoints with Ed25519; `note_key` is public, and is what the verifiers of the log are given."""

    def __init__(self, name: str, key: Ed25519PrivateKey) -> None:
        public = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        self.note_key = NoteKey(check_key_name(name), ED25519_TYPE, public)
        self._key = key

    @classmethod
    def generate(cls, name: str) -> "Ed25519Signer":
        """A signer with a new key."""
        return cls(name, Ed25519PrivateKey.generate())

    @classmethod
    def from_pem(cls, name: str, pem: bytes, password: bytes | None = None) -> "Ed25519Signer":
        """A signer from a private key in PKCS #8, as `openssl genpkey -algorithm ed25519` writes it."""
        try:
            key = load_pem_private_key(pem, password)
        except (ValueError, TypeError) as error:
            raise InvalidSetup(f"the signing key of {name} cannot be read: wrong password, or no PEM") from error
        if not isinstance(key, Ed25519PrivateKey):
            raise InvalidSetup(f"the signing key of {name} is not an Ed25519 key")
        return cls(name, key)

    def to_pem(self) -> bytes:
        """The private key, unencrypted, in PKCS #8; keep it where no reader of the log can see it."""
        return self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def sign(self, message: bytes) -> bytes:
        """Sign the message."""
        return self._key.sign(message)


__all__ = ["Ed25519Signer"]
