"""Artifacts: kept whole, found by their hash, read in part, encrypted with a cipher, cleared away when not named."""

import asyncio
import hashlib
import hmac
import json
import os
import tracemalloc
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_workflow_engine._artifact_format import CHUNK_BYTES
from maestro_workflow_engine._artifacts import ArtifactStore, ArtifactUnreadable, CallArtifacts, hash_of
from maestro_workflow_engine._errors import ArtifactNotFound
from maestro_workflow_engine._secrets import Masker, SecretInArtifact

LATER = datetime.now(UTC) + timedelta(days=1)
LONG_AGO = datetime.now(UTC) - timedelta(days=1)


class ToyCipher:
    """As a real one to whoever uses it: a stream of hashes, and a tag; the first key seals, all of them open."""

    overhead_bytes = 1 + 16 + 32

    def __init__(self, *keys: bytes) -> None:
        self._keys = {key[0]: key for key in keys}
        self._first = keys[0]

    def seal(self, data: bytes, bound_to: bytes) -> bytes:
        nonce = os.urandom(16)
        body = bytes([self._first[0]]) + nonce + _mixed(self._first, nonce, data)
        return body + hmac.digest(self._first, bound_to + body, "sha256")

    def open(self, sealed: bytes, bound_to: bytes) -> bytes:
        key = self._keys.get(sealed[0]) if sealed else None
        if key is None:
            raise ValueError("none of the keys")
        if not hmac.compare_digest(hmac.digest(key, bound_to + sealed[:-32], "sha256"), sealed[-32:]):
            raise ValueError("damaged")
        return _mixed(key, sealed[1:17], sealed[17:-32])

    def names(self, sha256: str) -> Sequence[str]:
        return [hmac.digest(key, sha256.encode(), "sha256").hex() for key in self._keys.values()]


def _mixed(key: bytes, nonce: bytes, data: bytes) -> bytes:
    mask = hashlib.shake_256(key + nonce).digest(len(data))
    return (int.from_bytes(mask, "big") ^ int.from_bytes(data, "big")).to_bytes(len(data), "big")


OLD, NEW = ToyCipher(b"1 old key"), ToyCipher(b"2 new key", b"1 old key")
CIPHERS = [None, OLD]


def opened(folder: Path, cipher: ToyCipher | None) -> ArtifactStore:
    """A store on the folder."""
    store = ArtifactStore(folder / "artifacts", cipher)
    store.prepare()
    return store


def files(folder: Path) -> list[Path]:
    """Every file of the store."""
    return [path for path in (folder / "artifacts").rglob("*") if path.is_file()]


def content(size_bytes: int) -> bytes:
    """Bytes that repeat nowhere near."""
    return hashlib.shake_128(b"content").digest(size_bytes)


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("size_bytes", [0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES])
async def test_what_is_kept_comes_back_whole_and_in_part(
    tmp_path: Path, cipher: ToyCipher | None, size_bytes: int
) -> None:
    """Of every size around the chunks; bytes and a file of the same content are one artifact."""
    data, store = content(size_bytes), opened(tmp_path, cipher)
    source = tmp_path / "source"
    source.write_bytes(data)
    store.keep_blob(hash_of(data), data)
    assert store.keep_file(source) == (hash_of(data), size_bytes)
    assert len(files(tmp_path)) == 1
    assert store.size(hash_of(data)) == size_bytes
    assert b"".join([part async for part in store.artifact_bytes(hash_of(data))]) == data
    for start, end in (
        (0, 1),
        (1, CHUNK_BYTES + 1),
        (CHUNK_BYTES - 1, CHUNK_BYTES),
        (size_bytes, None),
        (5, 5),
        (9, 3),
    ):
        assert b"".join([part async for part in store.artifact_bytes(hash_of(data), start, end)]) == data[start:end]
    assert await store.preview(hash_of(data), 10) == data[:10]


@pytest.mark.parametrize("cipher", CIPHERS)
async def test_files_are_for_their_owner_alone(tmp_path: Path, cipher: ToyCipher | None) -> None:
    """Whatever the umask says."""
    store = opened(tmp_path, cipher)
    store.keep_blob(hash_of(b"x"), b"x")
    assert [path.stat().st_mode & 0o777 for path in files(tmp_path)] == [0o600]
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "artifacts").iterdir()} == {0o700}


async def test_with_a_cipher_neither_content_nor_hash_lie_in_the_folder(tmp_path: Path) -> None:
    """Who reads the disk does not even learn whether a file that he knows is among them."""
    data, store = content(2 * CHUNK_BYTES + 10), opened(tmp_path, OLD)
    await store.keep_json(json.dumps("x" * 100), "x" * 100)
    store.keep_blob(hash_of(data), data)
    lies = b"".join(str(path).encode() + path.read_bytes() for path in files(tmp_path))
    assert hash_of(data).encode()[2:] not in lies
    assert bytes.fromhex(hash_of(data)) not in lies
    assert data[:32] not in lies
    assert b"xxxx" not in lies
    with pytest.raises(ArtifactUnreadable, match="artifact_bytes"):
        store.path(hash_of(data))
    with pytest.raises(ArtifactNotFound):
        opened(tmp_path, None).path(hash_of(data))


@given(st.data())
def test_any_change_to_a_sealed_file_is_found(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """A bit turned over, an end cut off, bytes added: nothing of the place that was changed is handed out."""
    folder = tmp_path_factory.mktemp("sealed")
    whole, store = content(CHUNK_BYTES + 100), opened(folder, OLD)
    store.keep_blob(hash_of(whole), whole)
    (file,) = files(folder)
    lies = bytearray(file.read_bytes())
    place = data.draw(st.integers(0, len(lies) - 1))
    match data.draw(st.sampled_from(["bit", "cut", "added"])):
        case "bit":
            lies[place] ^= 1 << data.draw(st.integers(0, 7))
        case "cut":
            del lies[place:]
        case _:
            lies += b"x" * (place + 1)
    file.write_bytes(bytes(lies))
    with pytest.raises((ArtifactUnreadable, ArtifactNotFound)):
        b"".join(store._read_whole(hash_of(whole)))


async def test_chunks_cannot_change_places_nor_files_their_names(tmp_path: Path) -> None:
    """What was sealed for one place opens in no other, though it is whole in itself."""
    store = opened(tmp_path, OLD)
    first, second = content(3 * CHUNK_BYTES), content(3 * CHUNK_BYTES)[::-1]
    for data in (first, second):
        store.keep_blob(hash_of(data), data)
    one, other = (store._path(OLD.names(hash_of(data))[0]) for data in (first, second))
    lies = one.read_bytes()
    stride = CHUNK_BYTES + OLD.overhead_bytes
    one.write_bytes(lies[:32] + lies[32 + stride : 32 + 2 * stride] + lies[32 : 32 + stride] + lies[32 + 2 * stride :])
    with pytest.raises(ArtifactUnreadable, match="damaged"):
        await store.preview(hash_of(first), 10)
    one.write_bytes(other.read_bytes())
    with pytest.raises(ArtifactNotFound):
        await store.preview(hash_of(first), 10)


async def test_damage_to_a_plain_file_is_told_to_whoever_reads_all_of_it(tmp_path: Path) -> None:
    """At the end at the latest: an answer over HTTP then breaks off instead of ending well."""
    store = opened(tmp_path, None)
    reference = await store.keep_json('"hello"', "hello")
    store.path(reference.sha256).write_bytes(b'"jello"')
    with pytest.raises(ArtifactNotFound):
        async for _ in store.artifact_bytes(reference.sha256):
            pass
    assert store.load(reference) == "hello"  # from the cache; a store that is opened anew knows better
    with pytest.raises(ArtifactNotFound):
        opened(tmp_path, None).load(reference)


async def test_a_lost_key_is_told(tmp_path: Path) -> None:
    """The names are found no more under other keys; where a name is, the reason is said."""
    opened(tmp_path, OLD).keep_blob(hash_of(b"data"), b"data")
    with pytest.raises(ArtifactNotFound):
        opened(tmp_path, ToyCipher(b"3 another")).size(hash_of(b"data"))
    lost = ToyCipher(b"1 old key")
    lost._keys = {}
    lost.names = OLD.names  # type: ignore[method-assign]  # a ring that still knows the name, but opens nothing
    with pytest.raises(ArtifactUnreadable, match="none of the keys") as found:
        opened(tmp_path, lost).size(hash_of(b"data"))
    assert found.value.code == "workflow.artifact-unreadable"


async def test_plain_artifacts_and_those_of_earlier_keys_are_found_and_sealed_anew(tmp_path: Path) -> None:
    """A cipher can be added, and its key changed, while artifacts are there; afterwards only the new key is needed."""
    datas = [b"plain", b"old" * CHUNK_BYTES, b"new"]
    for cipher, data in zip((None, OLD, NEW), datas, strict=True):
        opened(tmp_path, cipher).keep_blob(hash_of(data), data)
    store = opened(tmp_path, NEW)
    for data in datas:
        store.keep_blob(hash_of(data), data)
        assert b"".join([part async for part in store.artifact_bytes(hash_of(data))]) == data
    assert len(files(tmp_path)) == 3
    assert store.reseal() == 2
    assert store.reseal() == 0
    only_new = opened(tmp_path, ToyCipher(b"2 new key"))
    assert sorted(only_new.all_names()) == sorted(only_new._names(hash_of(data))[0] for data in datas)
    assert b"".join([part async for part in only_new.artifact_bytes(hash_of(datas[1]))]) == datas[1]


async def test_what_cannot_be_opened_is_left_when_sealing_anew(tmp_path: Path) -> None:
    """Its key may come back."""
    opened(tmp_path, ToyCipher(b"3 lost")).keep_blob(hash_of(b"data"), b"data")
    before = {path: path.read_bytes() for path in files(tmp_path)}
    assert opened(tmp_path, NEW).reseal() == 0
    assert opened(tmp_path, None).reseal() == 0
    assert {path: path.read_bytes() for path in files(tmp_path)} == before


@pytest.mark.parametrize("cipher", CIPHERS)
async def test_only_what_is_old_and_named_by_nobody_is_removed(tmp_path: Path, cipher: ToyCipher | None) -> None:
    """A file that is young, or was kept again since it was found unused, stays: somebody is about to refer to it."""
    store = opened(tmp_path, cipher)
    for data in (b"named", b"unused", b"again"):
        store.keep_blob(hash_of(data), data)
    for file in files(tmp_path):
        os.utime(file, (LONG_AGO.timestamp(), LONG_AGO.timestamp()))
    border = LONG_AGO + timedelta(hours=1)
    unused = store.unused({hash_of(b"named")}, border)
    assert set(unused) == {store._names(hash_of(data))[0] for data in (b"unused", b"again")}
    assert store.unused({hash_of(b"named")}, LONG_AGO - timedelta(hours=1)) == []
    store.keep_blob(hash_of(b"again"), b"again")
    freed = {name: store.remove(name, border) for name in unused}
    assert sorted(freed.values())[0] == 0
    assert sorted(freed.values())[1] >= len(b"unused")
    assert store.size(hash_of(b"again")) == 5
    assert store.size(hash_of(b"named")) == 5
    with pytest.raises(ArtifactNotFound):
        store.size(hash_of(b"unused"))
    assert [store.remove(name, LATER) for name in ("f" * 64, unused[0], unused[0])][-1] == 0


async def test_a_file_in_the_making_is_no_artifact(tmp_path: Path) -> None:
    """What fails half way leaves nothing; what a crash left is gone with the next opening."""
    store = opened(tmp_path, OLD)
    source = tmp_path / "source"
    source.write_bytes(content(3 * CHUNK_BYTES))

    def look(part: bytes) -> None:
        assert len(files(tmp_path)) == 1
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError):
        store.keep_file(source, look)
    assert files(tmp_path) == []
    (tmp_path / "artifacts" / "new" / "left").write_bytes(b"half")
    assert opened(tmp_path, OLD).all_names() == set()
    assert files(tmp_path) == []


async def test_whoever_stops_reading_leaves_no_file_open(tmp_path: Path) -> None:
    """An answer that is broken off is closed; a warning of a leak would fail this."""
    store = opened(tmp_path, OLD)
    store.keep_blob(hash_of(content(9 * CHUNK_BYTES)), content(9 * CHUNK_BYTES))
    parts = store.artifact_bytes(hash_of(content(9 * CHUNK_BYTES)))
    assert await anext(parts) == content(9 * CHUNK_BYTES)[:CHUNK_BYTES]
    await parts.aclose()  # type: ignore[attr-defined]  # a generator, which AsyncIterator does not say


@pytest.mark.parametrize(
    "name", ["", "a" * 64 + "b", "../../journal.db", "A" * 64, "g" * 64, "ü" * 64, "a/b", "\x00" * 64]
)
async def test_no_hash_leads_out_of_the_folder(tmp_path: Path, name: str) -> None:
    """What is no hash is not found, whatever it looks like."""
    (tmp_path / "journal.db").write_bytes(b"x")
    for cipher in CIPHERS:
        store = opened(tmp_path, cipher)
        for ask in (store.path, store.size):
            with pytest.raises(ArtifactNotFound):
                ask(name)
        with pytest.raises(ArtifactNotFound):
            await store.preview(name, 10)


@pytest.mark.parametrize("as_file", [False, True])
async def test_an_artifact_may_not_hold_a_secret(tmp_path: Path, as_file: bool) -> None:
    """Everybody who may read the workflow could read it: the step is told, and nothing is kept. The name is masked."""
    artifacts = CallArtifacts(opened(tmp_path, OLD), Masker(["hidden-value"]))
    data = b"x" * (CHUNK_BYTES - 5) + b"hidden-value" + b"y" * 10
    file = tmp_path / "file"
    file.write_bytes(data)
    with pytest.raises(SecretInArtifact, match=r"report\.txt") as found:
        await artifacts.put(file if as_file else data, "report.txt")
    assert (found.value.code, found.value.retryable) == ("workflow.secret-in-artifact", False)
    assert artifacts.kept == []
    assert files(tmp_path) == []
    reference = await artifacts.put(b"clean", "of hidden-value.txt")
    assert (reference.name, reference.media_type) == ("of ***.txt", "text/plain")


async def test_a_large_file_never_sits_in_memory(tmp_path: Path) -> None:
    """Neither when it is kept nor when it is read: a few chunks at a time, however long it is."""
    source = tmp_path / "source"
    with source.open("wb") as file:
        for _ in range(256):
            file.write(content(CHUNK_BYTES))
    store = opened(tmp_path, OLD)
    tracemalloc.start()
    try:
        sha256, size_bytes = await asyncio.to_thread(store.keep_file, source)
        read_bytes = 0
        async for part in store.artifact_bytes(sha256):
            read_bytes += len(part)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert read_bytes == size_bytes == 256 * CHUNK_BYTES
    assert peak_bytes < 16 * CHUNK_BYTES
