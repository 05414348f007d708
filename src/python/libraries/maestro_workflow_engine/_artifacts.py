"""Keeps what is too large for the journal: files named after the SHA-256 of their content."""

import asyncio
import hashlib
import json
import mimetypes
import os
import shutil
import tempfile
from collections import OrderedDict
from pathlib import Path
from typing import Final

from maestro_workflow_engine._errors import ArtifactNotFound
from maestro_workflow_engine._events import ArtifactRef
from maestro_workflow_engine._json import JSON

_CHUNK_BYTES: Final = 1 << 20
_CACHE_BYTES: Final = 64 << 20
_MAX_NAME: Final = 255
JSON_TYPE: Final = "application/json"


class ArtifactStore:
    """Content-addressed files in folders named after the first two digits; what is there is whole and synced."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._new = folder / "new"
        self._values: OrderedDict[str, tuple[JSON, int]] = OrderedDict()
        self._cached_bytes = 0

    def prepare(self) -> None:
        """Make the folders, and throw away what a crash left half written. Blocks."""
        shutil.rmtree(self._new, ignore_errors=True)
        self._new.mkdir(parents=True)

    def path(self, sha256: str) -> Path:
        """The file of an artifact; raises ArtifactNotFound."""
        if len(sha256) != 64 or not set(sha256) <= set("0123456789abcdef"):
            raise ArtifactNotFound(sha256)
        path = self._path(sha256)
        if not path.is_file():
            raise ArtifactNotFound(sha256)
        return path

    async def keep_json(self, text: str, value: JSON) -> ArtifactRef:
        """Keep a value of which the JSON text is at hand."""
        data = text.encode()
        sha256 = await asyncio.to_thread(self._keep_hashed, data)
        self._remember(sha256, value, len(data))
        return ArtifactRef(sha256, len(data), JSON_TYPE)

    def keep_blob(self, sha256: str, data: bytes) -> None:
        """Keep bytes whose hash is known. Blocks until they are on the disk."""
        if self._path(sha256).exists():
            return
        with tempfile.NamedTemporaryFile(dir=self._new, delete=False) as file:
            file.write(data)
            _sync(file.fileno())
        self._place(Path(file.name), sha256)

    def keep_file(self, source: Path) -> tuple[str, int]:
        """Keep a copy of a file; gives hash and size. Blocks until it is on the disk."""
        digest = hashlib.sha256()
        size_bytes = 0
        with source.open("rb") as reading, tempfile.NamedTemporaryFile(dir=self._new, delete=False) as file:
            try:
                while chunk := reading.read(_CHUNK_BYTES):
                    digest.update(chunk)
                    size_bytes += len(chunk)
                    file.write(chunk)
                _sync(file.fileno())
            except BaseException:
                Path(file.name).unlink()
                raise
        self._place(Path(file.name), digest.hexdigest())
        return digest.hexdigest(), size_bytes

    def load(self, reference: ArtifactRef) -> JSON:
        """The JSON value that was kept; raises ArtifactNotFound when it is missing or damaged. Blocks."""
        cached = self._values.get(reference.sha256)
        if cached is not None:
            self._values.move_to_end(reference.sha256)
            return cached[0]
        try:
            data = self.path(reference.sha256).read_bytes()
        except OSError as error:
            raise ArtifactNotFound(reference.sha256) from error
        if hash_of(data) != reference.sha256:
            raise ArtifactNotFound(reference.sha256)
        value: JSON = json.loads(data)
        self._remember(reference.sha256, value, len(data))
        return value

    def _keep_hashed(self, data: bytes) -> str:
        sha256 = hash_of(data)
        self.keep_blob(sha256, data)
        return sha256

    def _remember(self, sha256: str, value: JSON, size_bytes: int) -> None:
        if size_bytes > _CACHE_BYTES // 2 or sha256 in self._values:
            return
        self._values[sha256] = (value, size_bytes)
        self._cached_bytes += size_bytes
        while self._cached_bytes > _CACHE_BYTES:
            _, (_, dropped_bytes) = self._values.popitem(last=False)
            self._cached_bytes -= dropped_bytes

    def _path(self, sha256: str) -> Path:
        return self._folder / sha256[:2] / sha256[2:]

    def _place(self, file: Path, sha256: str) -> None:
        target = self._path(sha256)
        if target.parent.exists():
            file.replace(target)
        else:
            target.parent.mkdir(exist_ok=True)
            file.replace(target)
            _sync_folder(self._folder)
        _sync_folder(target.parent)


class CallArtifacts:
    """The artifacts of one attempt."""

    def __init__(self, store: ArtifactStore) -> None:
        self._store = store
        self.kept: list[ArtifactRef] = []

    async def put(self, data: bytes | Path, name: str, media_type: str | None = None) -> ArtifactRef:
        """Store bytes or a copy of a file, durably; the media type is guessed from the name when None."""
        if not name or len(name) > _MAX_NAME or any(ord(character) < 32 for character in name):
            raise ValueError(f"an artifact needs a name of 1 to {_MAX_NAME} printable characters, not {name[:40]!r}")
        if isinstance(data, Path):
            sha256, size_bytes = await asyncio.to_thread(self._store.keep_file, data)
        else:
            sha256, size_bytes = hash_of(data), len(data)
            await asyncio.to_thread(self._store.keep_blob, sha256, data)
        media_type = media_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
        reference = ArtifactRef(sha256, size_bytes, media_type, name)
        self.kept.append(reference)
        return reference


def hash_of(data: bytes) -> str:
    """The name of an artifact."""
    return hashlib.sha256(data).hexdigest()


def _sync(file: int) -> None:
    os.fsync(file)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
