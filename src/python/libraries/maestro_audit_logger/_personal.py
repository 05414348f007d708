"""Values of persons: sealed with a key for each subject, so that destroying the key erases them everywhere at once.

A value is sealed by synthetic IV (Rogaway and Shrimpton, 2006) with HMAC-SHA256 as the only primitive, since Python's
standard library has no cipher: the tag is a MAC of number, subject, name and value, and the pad that hides the value
is derived from the tag in counter mode. No nonce can be used twice, and a sealed value opens in one way only.
"""

import hmac
import os
import secrets
from base64 import b64decode, b64encode
from hashlib import sha256
from pathlib import Path

from maestro_audit_logger._canonical import canonical
from maestro_audit_logger._disk import Disk
from maestro_audit_logger._errors import KeyDamaged

_TAG_BYTES = 32
_PAD_BYTES = 32


def field_key(subject_key: bytes, seq: int, subject: str, name: str) -> bytes:
    """The key of one value; may be disclosed to prove that value, and tells nothing about any other."""
    return hmac.digest(subject_key, canonical(["maestro-audit", seq, subject, name]).encode(), "sha256")


def seal(key: bytes, value: str) -> str:
    """Hide a text, and its length but for steps of 32 bytes."""
    padded = value.encode() + b"\x80"
    padded += b"\x00" * (-len(padded) % _PAD_BYTES)
    tag = hmac.digest(key, b"tag" + padded, "sha256")
    return b64encode(tag + _mask(key, tag, padded)).decode()


def unseal(key: bytes, sealed: str) -> str | None:
    """The text, or None where this key did not seal it."""
    try:
        data = b64decode(sealed, validate=True)
    except ValueError:
        data = b""
    if b64encode(data).decode() != sealed or len(data) <= _TAG_BYTES:
        return None
    tag, padded = data[:_TAG_BYTES], _mask(key, data[:_TAG_BYTES], data[_TAG_BYTES:])
    if not hmac.compare_digest(hmac.digest(key, b"tag" + padded, "sha256"), tag):
        return None
    return padded[: padded.rindex(b"\x80")].decode()


def _mask(key: bytes, tag: bytes, data: bytes) -> bytes:
    blocks = range(-(-len(data) // 32))
    stream = b"".join(hmac.digest(key, b"pad" + tag + block.to_bytes(4, "big"), "sha256") for block in blocks)
    return (int.from_bytes(data, "big") ^ int.from_bytes(stream[: len(data)], "big")).to_bytes(len(data), "big")


class SubjectKeys:
    """The keys of the subjects, one file for each, so that destroying one touches no other."""

    def __init__(self, folder: Path, disk: Disk) -> None:
        self._folder = folder
        self._disk = disk

    def _path(self, subject: str) -> Path:
        name = sha256(subject.encode()).hexdigest()
        return self._folder / name[:2] / f"{name}.key"

    def find(self, subject: str) -> bytes | None:
        """The key, or None where there is none (any more); raises KeyDamaged."""
        try:
            text = self._path(subject).read_text(encoding="ascii", errors="replace")
        except FileNotFoundError:
            return None
        key_text, _, check = text.partition(" ")
        if check != f"{_check(key_text)}\n":
            raise KeyDamaged(f"the key file of the subject {subject!r} is damaged: restore it, or erase the subject")
        return bytes.fromhex(key_text)

    def find_or_make(self, subject: str) -> bytes:
        """The key; a new one is on the disk before this returns."""
        key = self.find(subject)
        if key is None:
            key = secrets.token_bytes(32)
            path = self._path(subject)
            self._disk.make_folder(path.parent)
            self._disk.replace(path, f"{key.hex()} {_check(key.hex())}\n".encode())
            self._disk.sync_folder(path.parent)
        return key

    def destroy(self, subject: str) -> bool:
        """Overwrite and remove the key; False if there was none. Once it returns, that has reached the disk."""
        path = self._path(subject)
        try:
            size_bytes = path.stat().st_size
        except FileNotFoundError:
            return False
        self._disk.overwrite(path, os.urandom(size_bytes))
        self._disk.remove(path)
        return True


def _check(key_text: str) -> str:
    return sha256(key_text.encode()).hexdigest()[:16]
