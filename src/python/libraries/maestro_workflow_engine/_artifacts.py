"""Keeps what is too large for the journal: files found by the SHA-256 of their content; encrypted, with a cipher."""

import asyncio
import hashlib
import json
import os
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Final

from maestro_workflow_engine._artifact_format import CHUNK_BYTES, Cipher, PlainReader, SealedReader, SealedWriter
from maestro_workflow_engine._errors import ArtifactNotFound, WorkflowError
from maestro_workflow_engine._events import ArtifactRef
from maestro_workflow_engine._json import JSON
from maestro_workflow_engine._secrets import Masker, SecretInArtifact

_CACHE_BYTES: Final = 64 << 20
_MAX_NAME: Final = 255
_HEX: Final = frozenset("0123456789abcdef")
JSON_TYPE: Final = "application/json"


class ArtifactUnreadable(WorkflowError):
    """The artifact is there, and cannot be handed out as it is asked for; says why."""

    code: ClassVar[str] = "workflow.artifact-unreadable"

    def __init__(self, sha256: str, reason: str) -> None:
        self.sha256 = sha256
        super().__init__(f"the artifact {sha256[:64]!r} cannot be read: {reason}")


class ArtifactStore:
    """Files in folders named after the first two digits; what is there is whole and synced.

    With a cipher everything new is encrypted, under names that do not tell the hash; what lies there plain is still
    found. A file that is kept again counts as new, so that `remove` leaves it to whoever is about to refer to it.
    """

    def __init__(self, folder: Path, cipher: Cipher | None = None) -> None:
        self._folder = folder
        self._new = folder / "new"
        self._cipher = cipher
        self._values: OrderedDict[str, tuple[JSON, int]] = OrderedDict()
        self._cached_bytes = 0
        self._placing = threading.Lock()

    def prepare(self) -> None:
        """Make the folders, and throw away what a crash left half written. Blocks."""
        if self._new.exists():
            import shutil

            shutil.rmtree(self._new, ignore_errors=True)
        self._new.mkdir(mode=0o700, parents=True)

    # --- reading ---

    def path(self, sha256: str) -> Path:
        """The file of an artifact that is not encrypted; raises ArtifactNotFound or ArtifactUnreadable."""
        path, is_sealed = self._find(sha256)
        if is_sealed:
            raise ArtifactUnreadable(sha256, "it is encrypted in its file: read it with artifact_bytes")
        return path

    def size(self, sha256: str) -> int:
        """The size of its content in bytes; raises ArtifactNotFound or ArtifactUnreadable. Blocks."""
        reader = self._reader(sha256)
        reader.close()
        return reader.size_bytes

    async def artifact_bytes(self, sha256: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The content from `start` up to `end` (None: all), in parts; raises ArtifactNotFound or ArtifactUnreadable.

        Whoever reads all of it is told by ArtifactNotFound, at the end, when it is not what was kept.
        """
        reader = await asyncio.to_thread(self._reader, sha256)
        try:
            end = reader.size_bytes if end is None else min(end, reader.size_bytes)
            digest = hashlib.sha256() if (start, end) == (0, reader.size_bytes) else None
            while part := await asyncio.to_thread(_read, sha256, reader, start, end):
                start += len(part)
                if digest is not None:
                    digest.update(part)
                yield part
            if digest is not None and digest.hexdigest() != sha256:
                raise ArtifactNotFound(sha256)
        finally:
            reader.close()

    async def preview(self, sha256: str, max_bytes: int) -> bytes:
        """Its first bytes; raises ArtifactNotFound or ArtifactUnreadable."""
        return b"".join([part async for part in self.artifact_bytes(sha256, 0, max_bytes)])

    def load(self, reference: ArtifactRef) -> JSON:
        """The JSON value that was kept; raises ArtifactNotFound (also when damaged) or ArtifactUnreadable. Blocks."""
        cached = self._values.get(reference.sha256)
        if cached is not None:
            self._values.move_to_end(reference.sha256)
            return cached[0]
        data = b"".join(self._read_whole(reference.sha256))
        if hash_of(data) != reference.sha256:
            raise ArtifactNotFound(reference.sha256)
        value: JSON = json.loads(data)
        self._remember(reference.sha256, value, len(data))
        return value

    # --- keeping ---

    async def keep_json(self, text: str, value: JSON) -> ArtifactRef:
        """Keep a value of which the JSON text is at hand."""
        data = text.encode()
        sha256 = await asyncio.to_thread(self._keep_hashed, data)
        self._remember(sha256, value, len(data))
        return ArtifactRef(sha256, len(data), JSON_TYPE)

    def keep_blob(self, sha256: str, data: bytes) -> None:
        """Keep bytes whose hash is known. Blocks until they are on the disk."""
        if not self._is_kept(sha256):
            self._write((data,), lambda _: None)

    def keep_file(self, source: Path, look: Callable[[bytes], None] = lambda _: None) -> tuple[str, int]:
        """Keep a copy of a file; gives hash and size. Blocks until it is on the disk. `look` may raise at any part."""
        with source.open("rb") as reading:
            return self._write(iter(lambda: reading.read(CHUNK_BYTES), b""), look)

    # --- clearing away ---

    def all_names(self) -> set[str]:
        """The names of all files; each is the hash of its content, or what the cipher makes of it. Blocks."""
        return {
            folder.name + file.name
            for folder in self._folder.iterdir()
            if len(folder.name) == 2 and folder.is_dir()
            for file in folder.iterdir()
        }

    def unused(self, named: Iterable[str], older_than: datetime) -> list[str]:
        """The names of files older than that which hold none of these artifacts. Blocks."""
        used = {name for sha256 in named for name in self._names(sha256)}
        return [name for name in sorted(self.all_names() - used) if self._is_older(self._path(name), older_than)]

    def remove(self, name: str, older_than: datetime) -> int:
        """Remove a file by its name, unless it has been kept again since; gives the bytes that are free now. Blocks."""
        path = self._path(name)
        with self._placing:
            if not path.is_file() or not self._is_older(path, older_than):
                return 0
            size_bytes = path.stat().st_size
            path.unlink()
            _sync_folder(path.parent)
            return size_bytes

    def reseal(self) -> int:
        """Encrypt anew what lies plain or under an earlier key; gives how many files that were. Blocks, for long."""
        count = 0
        for name in sorted(self.all_names()) if self._cipher is not None else ():
            sha256 = self._hash_behind(name)
            if sha256 is not None and self._names(sha256)[0] != name:
                self._write(self._read_whole(sha256), lambda _: None)
                self._path(name).unlink(missing_ok=True)
                count += 1
        return count

    # --- within ---

    def _names(self, sha256: str) -> list[str]:
        """Under what names a file with this content may lie, the one that is used now first."""
        return [sha256] if self._cipher is None else [*self._cipher.names(sha256), sha256]

    def _find(self, sha256: str) -> tuple[Path, bool]:
        if len(sha256) == 64 and _HEX.issuperset(sha256):
            for name in self._names(sha256):
                path = self._path(name)
                if path.is_file():
                    return path, name != sha256
        raise ArtifactNotFound(sha256)

    def _is_kept(self, sha256: str) -> bool:
        with self._placing:
            try:
                os.utime(self._find(sha256)[0])
            except ArtifactNotFound:
                return False
        return True

    def _reader(self, sha256: str) -> PlainReader | SealedReader:
        path, is_sealed = self._find(sha256)
        try:
            if not is_sealed or self._cipher is None:
                return PlainReader(path)
            reader = SealedReader(path, self._cipher)
        except OSError as error:
            raise ArtifactNotFound(sha256) from error
        except ValueError as error:
            raise ArtifactUnreadable(sha256, str(error)) from error
        if reader.sha256 != sha256:
            reader.close()
            raise ArtifactNotFound(sha256)
        return reader

    def _read_whole(self, sha256: str) -> Iterator[bytes]:
        reader = self._reader(sha256)
        try:
            at = 0
            while part := _read(sha256, reader, at, reader.size_bytes):
                yield part
                at += len(part)
        finally:
            reader.close()

    def _hash_behind(self, name: str) -> str | None:
        """The hash of the content of a file; None when it cannot be opened any more."""
        if self._cipher is None:
            return name
        try:
            reader = SealedReader(self._path(name), self._cipher)
        except OSError:
            return None
        except ValueError:  # not sealed, or under a key that is lost: then no content has this name as its hash
            plain = hashlib.sha256()
            with self._path(name).open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    plain.update(chunk)
            return name if plain.hexdigest() == name else None
        reader.close()
        return reader.sha256

    def _keep_hashed(self, data: bytes) -> str:
        sha256 = hash_of(data)
        self.keep_blob(sha256, data)
        return sha256

    def _write(self, parts: Iterable[bytes], look: Callable[[bytes], None]) -> tuple[str, int]:
        """Write a new file and put it in its place; nothing is left when it fails."""
        import tempfile

        digest = hashlib.sha256()
        size_bytes = 0
        with tempfile.NamedTemporaryFile(dir=self._new, delete=False) as file:
            try:
                sealed = None if self._cipher is None else SealedWriter(file.write, self._cipher)
                write = file.write if sealed is None else sealed.write
                for part in parts:
                    look(part)
                    digest.update(part)
                    size_bytes += len(part)
                    write(part)
                sha256 = digest.hexdigest()
                if sealed is not None:
                    sealed.finish(sha256, size_bytes)
                file.flush()
                os.fsync(file.fileno())
            except BaseException:
                Path(file.name).unlink()
                raise
        self._place(Path(file.name), self._names(sha256)[0])
        return sha256, size_bytes

    def _place(self, file: Path, name: str) -> None:
        target = self._path(name)
        with self._placing:
            is_first = not target.parent.exists()
            if is_first:
                target.parent.mkdir(mode=0o700)
            file.replace(target)
        if is_first:
            _sync_folder(self._folder)
        _sync_folder(target.parent)

    def _path(self, name: str) -> Path:
        return self._folder / name[:2] / name[2:]

    def _is_older(self, path: Path, than: datetime) -> bool:
        try:
            return datetime.fromtimestamp(path.stat().st_mtime, UTC) < than
        except FileNotFoundError:
            return False

    def _remember(self, sha256: str, value: JSON, size_bytes: int) -> None:
        if size_bytes > _CACHE_BYTES // 2 or sha256 in self._values:
            return
        self._values[sha256] = (value, size_bytes)
        self._cached_bytes += size_bytes
        while self._cached_bytes > _CACHE_BYTES:
            _, (_, dropped_bytes) = self._values.popitem(last=False)
            self._cached_bytes -= dropped_bytes


class CallArtifacts:
    """The artifacts of one attempt; with a masker none of them may hold a secret."""

    def __init__(self, store: ArtifactStore, masker: Masker | None = None) -> None:
        self._store = store
        self._masker = masker or Masker(())
        self.kept: list[ArtifactRef] = []

    async def put(self, data: bytes | Path, name: str, media_type: str | None = None) -> ArtifactRef:
        """Store bytes or a copy of a file, durably; the media type is guessed from the name when None.

        Raises SecretInArtifact, and keeps nothing then.
        """
        if not name or len(name) > _MAX_NAME or any(ord(character) < 32 for character in name):
            raise ValueError(f"an artifact needs a name of 1 to {_MAX_NAME} printable characters, not {name[:40]!r}")
        name = self._masker.text(name)
        look = self._looking_for_secrets(name)
        if isinstance(data, Path):
            sha256, size_bytes = await asyncio.to_thread(self._store.keep_file, data, look)
        else:
            await asyncio.to_thread(look, data)
            sha256, size_bytes = hash_of(data), len(data)
            await asyncio.to_thread(self._store.keep_blob, sha256, data)
        media_type = media_type or _media_type(name)
        reference = ArtifactRef(sha256, size_bytes, media_type, name)
        self.kept.append(reference)
        return reference

    def _looking_for_secrets(self, name: str) -> Callable[[bytes], None]:
        scan = self._masker.scan()

        def look(part: bytes) -> None:
            if scan.holds(part):
                raise SecretInArtifact(name)

        return look


def _media_type(name: str) -> str:
    import mimetypes

    return mimetypes.guess_type(name)[0] or "application/octet-stream"


def hash_of(data: bytes) -> str:
    """The name of an artifact."""
    return hashlib.sha256(data).hexdigest()


def _read(sha256: str, reader: PlainReader | SealedReader, start: int, end: int) -> bytes:
    try:
        return reader.part(start, end)
    except OSError as error:
        raise ArtifactNotFound(sha256) from error
    except ValueError as error:
        raise ArtifactUnreadable(sha256, str(error)) from error


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
