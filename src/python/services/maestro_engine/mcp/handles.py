"""Names that only this engine can make: task handles, and ids of workflows that are started once per request key."""

import base64
import hashlib
import hmac
import json
import os
import secrets
from pathlib import Path
from typing import Final

_KEY_BYTES: Final = 32
_MAC_BYTES: Final = 24


class UnknownTask(LookupError):
    """The handle was not made here, or not for who shows it: the two are not told apart."""


class Handles:
    """Makes and reads names by HMAC-SHA256 under one key; nothing is stored."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def task_id(self, subject: str, workflow_id: str) -> str:
        """The handle of a workflow for the one who started it."""
        return f"{_as_text(workflow_id.encode())}.{_as_text(self._mac('task', subject, workflow_id))}"

    def workflow_of(self, subject: str, task_id: str) -> str:
        """The workflow behind a handle; raises UnknownTask."""
        head, _, _ = task_id.partition(".")
        try:
            workflow_id = base64.urlsafe_b64decode(head + "=" * (-len(head) % 4)).decode()
        except ValueError:
            raise UnknownTask from None
        if not hmac.compare_digest(self.task_id(subject, workflow_id).encode(), task_id.encode("utf-8", "replace")):
            raise UnknownTask
        return workflow_id

    def workflow_id(self, subject: str, request_key: str) -> str:
        """The id of the one workflow that a caller starts under a key."""
        return f"mcp-{self._mac('request', subject, request_key).hex()[:40]}"

    def derived(self, purpose: str) -> bytes:
        """A key for another purpose, from which this one cannot be found."""
        return hmac.digest(self._key, json.dumps(["derived", purpose]).encode(), hashlib.sha256)

    def _mac(self, *parts: str) -> bytes:
        return hmac.digest(self._key, json.dumps(parts).encode(), hashlib.sha256)[:_MAC_BYTES]


def kept_key(path: Path) -> bytes:
    """The key in a file that only its owner reads, made at the first start; raises ValueError for another file."""
    try:
        key = path.read_bytes()
    except FileNotFoundError:
        return _made_key(path)
    if len(key) != _KEY_BYTES:
        raise ValueError(
            f"{path} holds {len(key)} bytes, not a key of {_KEY_BYTES}; take it away to have a new one made"
        )
    return key


def _made_key(path: Path) -> bytes:
    key = secrets.token_bytes(_KEY_BYTES)
    part = path.with_suffix(".part")
    part.unlink(missing_ok=True)
    with os.fdopen(os.open(part, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600), "wb") as file:
        file.write(key)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
    return key


def _as_text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
