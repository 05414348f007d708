"""The keys that secrets and artifacts are encrypted with: AES-256-GCM under keys derived for each purpose.

Sealed data is: 4 bytes that tell the key, 24 random bytes, then what AES-256-GCM gives. A key for this data alone is
derived from the first 12 of the random bytes and the other 12 are its nonce, so that no pair of both ever comes twice.
"""

import base64
import hmac
import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from maestro_engine.secrets.errors import BadSecretKey

KEY_BYTES: Final = 32
_ID_BYTES: Final = 4
_SALT_BYTES: Final = 12
_NONCE_BYTES: Final = 12
_TAG_BYTES: Final = 16
_HEAD_BYTES: Final = _ID_BYTES + _SALT_BYTES + _NONCE_BYTES
_MAX_FILE_BYTES: Final = 64 << 10
_MAX_KEYS: Final = 100

_log: Final = logging.getLogger("maestro_engine.secrets")
_HOW: Final = "a key is 32 random bytes in base64, as `openssl rand -base64 32` prints it"


class CannotOpen(ValueError):
    """Sealed data cannot be opened; says why."""


class Key:
    """One key; `id` tells it from others, and nothing about it."""

    __slots__ = ("_secret", "id")

    def __init__(self, secret: bytes) -> None:
        self._secret = secret
        self.id = self.derived("key id", _ID_BYTES)

    def __repr__(self) -> str:
        return f"Key({self.id.hex()})"

    def derived(self, purpose: str, length: int = KEY_BYTES) -> bytes:
        """A key for one purpose; from it nobody comes to this one, or to that of another purpose."""
        return HKDF(SHA256(), length, salt=None, info=b"maestro-engine " + purpose.encode()).derive(self._secret)

    def as_text(self) -> str:
        """The key itself, as it stands in a file."""
        return base64.b64encode(self._secret).decode()


class Keys:
    """Keys, the newest first: that one seals, all of them open."""

    def __init__(self, keys: Sequence[Key], *, own_file: Path | None = None) -> None:
        self.all = tuple(keys)
        self._own_file = own_file

    def __repr__(self) -> str:
        return f"Keys({', '.join(key.id.hex() for key in self.all)})"

    @property
    def present(self) -> Key:
        """The one that seals."""
        return self.all[0]

    def renew(self) -> bool:
        """Make a new key and let it seal from now on, where the engine keeps the file itself. Blocks."""
        if self._own_file is None:
            return False
        keys = (Key(os.urandom(KEY_BYTES)), *self.all)
        _write(self._own_file, keys)
        self.all = keys
        return True


class Sealing:
    """Seals and opens for one purpose; also the cipher of an artifact store."""

    overhead_bytes: Final = _HEAD_BYTES + _TAG_BYTES

    def __init__(self, keys: Keys, purpose: str) -> None:
        self._keys = keys
        self._purpose = purpose
        self._derived: dict[tuple[bytes, str], bytes] = {}

    def seal(self, data: bytes, bound_to: bytes) -> bytes:
        """The data encrypted; it opens only with the same `bound_to`."""
        key = self._keys.present
        salt, nonce = os.urandom(_SALT_BYTES), os.urandom(_NONCE_BYTES)
        return key.id + salt + nonce + self._aead(key, salt).encrypt(nonce, data, bound_to)

    def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        """What was sealed; raises CannotOpen."""
        key = self.key_of(sealed)
        if key is None:
            known = ", ".join(each.id.hex() for each in self._keys.all)
            needed = sealed[:_ID_BYTES].hex()
            raise CannotOpen(f"it is encrypted with the key {needed}, and the engine has {known}: give it that one too")
        salt, nonce = sealed[_ID_BYTES : _ID_BYTES + _SALT_BYTES], sealed[_ID_BYTES + _SALT_BYTES : _HEAD_BYTES]
        try:
            return self._aead(key, salt).decrypt(nonce, sealed[_HEAD_BYTES:], bound_to)
        except (InvalidTag, ValueError) as error:
            raise CannotOpen("it is damaged, or was moved from another place") from error

    def key_of(self, sealed: bytes) -> Key | None:
        """The key that opens it; None when it is not among the keys."""
        return next((key for key in self._keys.all if key.id == sealed[:_ID_BYTES]), None)

    def names(self, sha256: str) -> list[str]:
        """Names that do not tell the hash, by each key."""
        return [hmac.digest(self._key(key, " names"), sha256.encode(), "sha256").hex() for key in self._keys.all]

    def _aead(self, key: Key, salt: bytes) -> AESGCM:
        return AESGCM(hmac.digest(self._key(key), salt, "sha256"))

    def _key(self, key: Key, suffix: str = "") -> bytes:
        found = self._derived.get((key.id, suffix))
        if found is None:
            found = self._derived[key.id, suffix] = key.derived(self._purpose + suffix)
        return found


def find_keys(*, text: str | None, file: Path | None, own_file: Path, may_make: bool) -> Keys | None:
    """The keys that are given as text or as a file, or those that the engine keeps itself; None where there are none.

    `may_make` has it make its own file where nothing is given, and go on without where that cannot be written. Raises
    BadSecretKey. Blocks.
    """
    if text is not None and file is not None:
        raise BadSecretKey("give the key of the secrets as secret_key or as secret_key_file, not both")
    if text is not None:
        return Keys(_parsed(text, "the setting secret_key"))
    if file is not None:
        return Keys(_read(file))
    if own_file.exists():
        return Keys(_read(own_file), own_file=own_file)
    if not may_make:
        return None
    keys = (Key(os.urandom(KEY_BYTES)),)
    try:
        _write(own_file, keys)
    except BadSecretKey as error:
        _log.warning("secret.no-key: secrets cannot be kept, and artifacts are not encrypted: %s", error)
        return None
    return Keys(keys, own_file=own_file)


def _read(file: Path) -> list[Key]:
    try:
        with file.open("rb") as opened:
            mode = os.fstat(opened.fileno()).st_mode
            if mode & 0o077:
                raise BadSecretKey(f"{file} can be read by others: run `chmod 600 {file}`, and think of it as known")
            content = opened.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        raise BadSecretKey(f"{file} cannot be read: {error.strerror}") from error
    if len(content) > _MAX_FILE_BYTES:
        raise BadSecretKey(f"{file} is too large: {_HOW}")
    return _parsed(content.decode("utf-8", "replace"), str(file))


def _parsed(text: str, where: str) -> list[Key]:
    """Keys, one in each line; what comes after `#` counts for nothing."""
    words = [word for line in text.splitlines() for word in re.split(r"[\s,]+", line.partition("#")[0]) if word]
    if not 1 <= len(words) <= _MAX_KEYS:
        raise BadSecretKey(f"{where} holds {len(words)} keys, and from 1 to {_MAX_KEYS} are expected: {_HOW}")
    keys = [_key(word, f"key {number} in {where}") for number, word in enumerate(words, 1)]
    if len({key.id for key in keys}) < len(keys):
        raise BadSecretKey(f"{where} holds a key twice")
    return keys


def _key(word: str, where: str) -> Key:
    try:
        secret = base64.b64decode(word.translate(str.maketrans("-_", "+/")) + "=" * (-len(word) % 4), validate=True)
    except ValueError as error:
        raise BadSecretKey(f"{where} cannot be read: {_HOW}") from error
    if len(secret) != KEY_BYTES or len(set(secret)) < 8:
        raise BadSecretKey(f"{where} has {len(secret)} bytes, or is not random: {_HOW}")
    return Key(secret)


def _write(file: Path, keys: Sequence[Key]) -> None:
    lines = ["# Keys of the secrets of maestro-engine. Keep a copy apart from the data: without it they are lost."]
    lines += [f"{key.as_text()}  # {key.id.hex()}" for key in keys]
    part = file.with_name(file.name + ".part")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "w", encoding="ascii") as opened:
            opened.write("\n".join(lines) + "\n")
            opened.flush()
            os.fsync(opened.fileno())
        part.replace(file)
        _sync_folder(file.parent)
    except OSError as error:
        raise BadSecretKey(f"{file} cannot be written: {error.strerror}") from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
