"""The keys of secrets and artifacts: where they come from, what is refused, and what AES-256-GCM is given."""

import base64
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_engine.secrets.errors import BadSecretKey
from maestro_engine.secrets.keys import CannotOpen, Key, Keys, Sealing, find_keys
from maestro_workflow_engine import Cipher

TEXT = base64.b64encode(bytes(range(32))).decode()
OTHER = base64.urlsafe_b64encode(bytes(range(220, 252))).decode().rstrip("=")


def key_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    """A file with these keys."""
    path = folder / "keys"
    path.write_text(text)
    path.chmod(mode)
    return path


def test_the_first_start_makes_a_key_and_the_next_one_finds_it(tmp_path: Path) -> None:
    """For its owner alone, beside the data and not in it; nothing is made where that is not allowed."""
    own_file = tmp_path / "not there yet" / "engine.key"
    assert find_keys(text=None, file=None, own_file=own_file, may_make=False) is None
    assert not own_file.exists()
    made = find_keys(text=None, file=None, own_file=own_file, may_make=True)
    found = find_keys(text=None, file=None, own_file=own_file, may_make=False)
    assert made is not None
    assert found is not None
    assert [key.id for key in made.all] == [key.id for key in found.all]
    assert own_file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in own_file.parent.iterdir()] == ["engine.key"]


def test_a_key_that_is_given_goes_before_one_that_was_made(tmp_path: Path) -> None:
    """As text or as a file, in either alphabet, with or without padding; several of them, the newest first."""
    own_file = tmp_path / "engine.key"
    find_keys(text=None, file=None, own_file=own_file, may_make=True)
    first, second = Key(bytes(range(32))), Key(bytes(range(220, 252)))
    for text in (TEXT, f"{TEXT}, {OTHER}", f"# keys\n\n{OTHER} # new\n{TEXT}\n"):
        expected = {TEXT: [first.id], f"{TEXT}, {OTHER}": [first.id, second.id]}.get(text, [second.id, first.id])
        by_text = find_keys(text=text, file=None, own_file=own_file, may_make=True)
        by_file = find_keys(text=None, file=key_file(tmp_path, text), own_file=own_file, may_make=True)
        assert by_text is not None
        assert by_file is not None
        assert [key.id for key in by_text.all] == [key.id for key in by_file.all] == expected
        assert not by_text.renew()
        assert not by_file.renew()  # what was given by others is not written to


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o610])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    """With what to do about it."""
    with pytest.raises(BadSecretKey, match="chmod 600"):
        find_keys(text=None, file=key_file(tmp_path, TEXT, mode), own_file=tmp_path / "own", may_make=True)
    with pytest.raises(BadSecretKey, match="chmod 600"):
        find_keys(text=None, file=None, own_file=key_file(tmp_path, TEXT, mode), may_make=True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# nothing\n",
        "password",
        TEXT[:-4],
        TEXT + "AAAA",
        TEXT + TEXT,
        TEXT + "\n" + TEXT,
        "*" * 44,
        "A" * 43 + "=",
        TEXT[:20] + "\x00" + TEXT[21:],
        "ü" * 44,
        "\n".join([TEXT] * 101),
        "x" * 70_000,
    ],
)
def test_what_is_no_key_is_refused_without_being_shown(tmp_path: Path, text: str) -> None:
    """The error names the place and says how a key is made; it never repeats what was there."""
    for given_as in ("text", "file"):
        with pytest.raises(BadSecretKey) as found:
            find_keys(
                text=text if given_as == "text" else None,
                file=key_file(tmp_path, text) if given_as == "file" else None,
                own_file=tmp_path / "own",
                may_make=True,
            )
        assert found.value.code == "secret.bad-key"
        assert TEXT[:12] not in str(found.value)
        assert text[:8] not in str(found.value) or len(text) < 8
    assert not (tmp_path / "own").exists()


def test_a_file_that_is_not_there_or_no_file_is_refused(tmp_path: Path) -> None:
    """A key that was asked for by its place is never made in silence; two ways at once are refused."""
    with pytest.raises(BadSecretKey, match="cannot be read"):
        find_keys(text=None, file=tmp_path / "missing", own_file=tmp_path / "own", may_make=True)
    with pytest.raises(BadSecretKey, match="cannot be read"):
        find_keys(text=None, file=tmp_path, own_file=tmp_path / "own", may_make=True)
    with pytest.raises(BadSecretKey, match="not both"):
        find_keys(text=TEXT, file=key_file(tmp_path, TEXT), own_file=tmp_path / "own", may_make=True)


def test_an_engine_that_cannot_write_its_key_goes_on_without_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says what that means; whoever sets a secret is told what to do."""
    (tmp_path / "file").write_text("in the way")
    assert find_keys(text=None, file=None, own_file=tmp_path / "file" / "own", may_make=True) is None
    assert "artifacts are not encrypted" in caplog.text


def test_a_new_key_that_cannot_be_written_is_not_used(tmp_path: Path) -> None:
    """What would be sealed with it could never be opened again."""
    own_file = tmp_path / "own"
    keys = find_keys(text=None, file=None, own_file=own_file, may_make=True)
    assert keys is not None
    before, present = own_file.read_bytes(), keys.present
    (tmp_path / "own.part").mkdir()
    with pytest.raises(BadSecretKey):
        keys.renew()
    assert (own_file.read_bytes(), keys.present) == (before, present)
    (tmp_path / "own.part").rmdir()
    assert keys.renew()
    found = find_keys(text=None, file=None, own_file=own_file, may_make=True)
    assert found is not None
    assert [key.id for key in found.all] == [key.id for key in keys.all]
    assert keys.all[1:] == (present,)


FIRST, SECOND = Key(bytes(range(32))), Key(bytes(range(1, 33)))


@given(st.binary(max_size=200), st.binary(max_size=20), st.data())
def test_what_was_sealed_opens_only_as_it_is_and_where_it_belongs(
    data: bytes, place: bytes, draw: st.DataObject
) -> None:
    """A bit turned over, a byte more or less, another place, another purpose, another key: each is found."""
    sealing = Sealing(Keys([FIRST]), "test")
    sealed = sealing.seal(data, place)
    assert len(sealed) == len(data) + sealing.overhead_bytes
    assert sealing.open(sealed, place) == data
    assert Sealing(Keys([SECOND, FIRST]), "test").open(sealed, place) == data
    at = draw.draw(st.integers(0, len(sealed) - 1))
    changed = bytes([*sealed[:at], sealed[at] ^ (1 << draw.draw(st.integers(0, 7))), *sealed[at + 1 :]])
    for other, where in ((changed, place), (sealed[:at], place), (sealed + b"x", place), (sealed, place + b"x")):
        with pytest.raises(CannotOpen):
            sealing.open(other, where)
    for stranger in (Sealing(Keys([FIRST]), "other"), Sealing(Keys([SECOND]), "test")):
        with pytest.raises(CannotOpen):
            stranger.open(sealed, place)


def test_nothing_is_sealed_the_same_way_twice() -> None:
    """Equal values cannot be told by their sealed forms; every one has its own key and nonce."""
    sealing = Sealing(Keys([FIRST]), "test")
    assert len({sealing.seal(b"the same", b"") for _ in range(1000)}) == 1000
    assert len({sealing.seal(b"", b"")[4:28] for _ in range(1000)}) == 1000


def test_it_is_the_cipher_that_artifacts_are_kept_with() -> None:
    """Names are different for each key and for each content, the same each time, and not the hash."""
    cipher: Cipher = Sealing(Keys([SECOND, FIRST]), "artifacts")
    names = cipher.names("a" * 64)
    assert names == cipher.names("a" * 64)
    assert len({*names, *cipher.names("b" * 64), "a" * 64}) == 5
    assert all(len(name) == 64 and set(name) <= set("0123456789abcdef") for name in names)
    assert names[1:] == Sealing(Keys([FIRST]), "artifacts").names("a" * 64)


def test_a_key_for_one_purpose_tells_nothing_of_another() -> None:
    """Secrets, artifacts and names each have their own; the id is none of them."""
    derived = {FIRST.derived(purpose) for purpose in ("secrets", "artifacts", "artifacts names")}
    assert len(derived) == 3
    assert all(FIRST.id not in key for key in derived)
    assert os.urandom(32) not in derived
