"""Files and folders that are not what they should be: a clear error with the place, quickly, and no content shown."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_core_config import MAX_FILE_BYTES, InvalidSettings, SecretText, Settings, load_settings


class Small(Settings, env_prefix="MAESTRO_SMALL_"):
    port: int = 1
    anything: Any = None
    api_token: SecretText | None = None


def problem(**layers: Any) -> str:
    """The only problem of a load."""
    with pytest.raises(InvalidSettings) as error:
        load_settings(Small, **{"environment": {}, **layers})
    assert len(error.value.problems) == 1
    return str(error.value.problems[0])


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("a.toml", b"port = 1\nname = s3cret\n", ":2:8: not valid TOML: Invalid value"),
        ("a.toml", b"port = 1\nport = 2\n", ":2:9: not valid TOML: Cannot overwrite a value"),
        ("a.toml", b'port = 1\nname = "s3cret', ":2: not valid TOML: Unterminated string"),
        ("a.toml", b"port = " + b"9" * 5000, ": not valid TOML: Exceeds the limit (4300 digits)"),
        ("a.toml", b"anything = " + b"[" * 5000, ": not valid TOML: it is nested more than 64 levels deep"),
        ("a.toml", b"anything = " + b"[" * 70 + b"]" * 70, ": not valid TOML: it is nested more than 64 levels deep"),
        ("a.json", b'{"port": 1,\n "name" s3cret}', ":2:9: not valid JSON: Expecting ':' delimiter"),
        ("a.json", b'{"port": 1, "port": 2}', ": not valid JSON: the key 'port' is there twice"),
        ("a.json", b'{"port": NaN}', ": not valid JSON: NaN is not JSON"),
        ("a.json", b"[" * 100_000, ": not valid JSON: it is nested more than 64 levels deep"),
        ("a.json", b'{"port": ' + b"9" * 5000 + b"}", ": not valid JSON: Exceeds the limit (4300 digits)"),
        ("a.json", b'["s3cret"]', ": it holds no table of settings"),
        ("a.json", b"", ":1:1: not valid JSON: Expecting value"),
        ("a.json", b'{"s3cret": "\xff"}', ": it is not UTF-8 text (byte 12)"),
        ("a.toml", b"\xfe\xff\x00p", ": it is not UTF-8 text (byte 0)"),
        ("a.yaml", b"port: 1", ": the kind of file is not known; name it .toml or .json"),
        ("a.json", b" " * (MAX_FILE_BYTES + 1), ": it is larger than 1048576 bytes"),
    ],
)
def test_a_broken_file_is_reported_with_its_place(tmp_path: Path, name: str, content: bytes, expected: str) -> None:
    """The error names the file, and line and column where they are known; the content is not shown."""
    file = tmp_path / name
    file.write_bytes(content)

    message = problem(file=file)

    assert message.startswith(f"{file}{expected}")
    assert "s3cret" not in message


def test_a_file_of_the_largest_size_is_read(tmp_path: Path) -> None:
    """The limit itself is allowed."""
    file = tmp_path / "a.toml"
    file.write_text("port = 7\n" + "#" * (MAX_FILE_BYTES - 9))

    assert load_settings(Small, file=file, environment={}).port == 7


@pytest.mark.parametrize("name", ["absent.toml", "folder.toml", "pipe.toml", "loop.toml", "device.toml", "nul\0.toml"])
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, name: str) -> None:
    """A missing file, a folder, a pipe without a writer, a link to itself, an endless device: none is waited for."""
    (tmp_path / "folder.toml").mkdir()
    os.mkfifo(tmp_path / "pipe.toml")
    (tmp_path / "loop.toml").symlink_to("loop.toml")
    (tmp_path / "device.toml").symlink_to("/dev/zero")

    message = problem(file=tmp_path / name)

    expected = {
        "absent.toml": "there is no such file",
        "folder.toml": "it is a folder, not a file",
        "pipe.toml": "it is a device or pipe, not a file",
        "loop.toml": "it cannot be read: Too many levels of symbolic links",
        "device.toml": "it is a device or pipe, not a file",
        "nul\0.toml": "it cannot be read: embedded null byte",
    }
    assert message.endswith(expected[name])


def test_a_file_that_may_not_be_read_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reason of the operating system is passed on; tests may run as root, so the refusal is put in by hand."""

    def refuse(*_args: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)

    assert problem(file=tmp_path / "a.toml").endswith("a.toml: it cannot be read: Permission denied")


def kubernetes_volume(folder: Path, **secrets: str) -> Path:
    """A secrets volume as the kubelet lays it out: names link to ..data/name, ..data links to a dated folder."""
    dated = folder / "..2026_11_21_10_00_00.123"
    dated.mkdir(parents=True)
    (folder / "..data").symlink_to(dated.name)
    for name, text in secrets.items():
        (dated / name).write_text(text)
        (folder / name).symlink_to(Path("..data", name))
    return folder


def test_a_kubernetes_volume_is_read_through_its_links(tmp_path: Path) -> None:
    """Links within the folder are followed, `..data` itself is no setting, and an update is seen by the next load."""
    folder = kubernetes_volume(tmp_path / "volume", api_token="first")
    assert load_settings(Small, environment={}, secrets_dir=folder).api_token == SecretText("first")

    newer = folder / "..2026_11_22"
    newer.mkdir()
    (newer / "api_token").write_text("second")
    (folder / "..data_tmp").symlink_to(newer.name)
    os.replace(folder / "..data_tmp", folder / "..data")

    assert load_settings(Small, environment={}, secrets_dir=folder).api_token == SecretText("second")


def test_folders_and_other_files_in_a_secrets_folder_are_left_alone(tmp_path: Path) -> None:
    """/run/secrets holds an orchestrator's own folders, and files whose names cannot be settings."""
    (tmp_path / "kubernetes.io" / "serviceaccount").mkdir(parents=True)
    (tmp_path / "rhsm").mkdir()
    (tmp_path / ".hidden").write_text("x")
    (tmp_path / "tls.key").write_text("x")

    assert load_settings(Small, environment={}, secrets_dir=tmp_path).port == 1


def test_a_secret_must_lie_in_its_folder(tmp_path: Path) -> None:
    """A link out of the folder, to nowhere, or to itself is refused and not called a missing setting."""
    outside = tmp_path / "outside"
    outside.write_text("s3cret")
    folder = tmp_path / "secrets"
    for target, expected in (
        (outside, "api_token: its link leads out of the secrets folder [secrets file "),
        (Path("absent"), "api_token: there is no such file [secrets file "),
        (Path("api_token"), "api_token: its link leads nowhere [secrets file "),
    ):
        folder.mkdir()
        (folder / "api_token").symlink_to(target)
        message = problem(secrets_dir=folder)
        assert message.startswith(expected)
        assert "s3cret" not in message
        (folder / "api_token").unlink()
        folder.rmdir()


def test_the_secrets_folder_itself_may_be_a_link(tmp_path: Path) -> None:
    """What must lie inside is judged by real paths."""
    kubernetes_volume(tmp_path / "real", api_token="x")
    (tmp_path / "linked").symlink_to("real")

    assert load_settings(Small, environment={}, secrets_dir=tmp_path / "linked").api_token == SecretText("x")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"s3cret\xff", "api_token: it is not UTF-8 text (byte 6) [secrets file "),
        (b"s" * (MAX_FILE_BYTES + 1), "api_token: it is larger than 1048576 bytes [secrets file "),
    ],
)
def test_a_broken_secret_is_reported_without_its_content(tmp_path: Path, content: bytes, expected: str) -> None:
    """Size and encoding are checked as for files."""
    (tmp_path / "api_token").write_bytes(content)

    message = problem(secrets_dir=tmp_path)

    assert message.startswith(expected)
    assert "s3cret" not in message


def test_a_pipe_in_a_secrets_folder_is_not_waited_for(tmp_path: Path) -> None:
    """A secret without a writer is refused at once."""
    os.mkfifo(tmp_path / "api_token")

    assert problem(secrets_dir=tmp_path).startswith("api_token: it is a device or pipe, not a file")


def test_what_is_no_secrets_folder_is_reported(tmp_path: Path) -> None:
    """A folder that is named must be one, and of bounded size."""
    file = tmp_path / "file"
    file.write_text("x")
    crowd = tmp_path / "crowd"
    crowd.mkdir()
    for number in range(1001):
        (crowd / f".{number}").touch()

    assert problem(secrets_dir=tmp_path / "absent").startswith("the secrets folder: there is no such folder [")
    assert problem(secrets_dir=file).startswith("the secrets folder: it is not a folder [")
    assert problem(secrets_dir=crowd).startswith("the secrets folder: it holds more than 1000 entries [")


def test_a_file_name_cannot_forge_a_line(tmp_path: Path) -> None:
    """Control characters in names of files and variables are escaped in errors."""
    message = problem(file=tmp_path / "a\n\x1b[31mport: fine\u202e.toml")

    assert r"a\n\x1b[31mport: fine\u202e.toml" in message
    assert problem(environment={"MAESTRO_SMALL_\nX": "1"}).count("\n") == 0


def outcome(**layers: Any) -> str:
    try:
        return "settings" if isinstance(load_settings(Small, **layers), Small) else "nothing"
    except InvalidSettings as error:
        return "problems" if error.problems else "nothing"


@given(st.binary(max_size=60), st.sampled_from(["a.toml", "a.json"]))
def test_any_bytes_give_settings_or_a_clear_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes, name: str
) -> None:
    """Nothing but InvalidSettings comes out of a file, whatever it holds."""
    file = tmp_path_factory.mktemp("any") / name
    file.write_bytes(data)

    assert outcome(file=file, environment={}) in ("settings", "problems")


@given(st.dictionaries(st.text("ABPORT_\n=é", max_size=12).map("MAESTRO_SMALL_".__add__), st.text(max_size=8)))
def test_any_environment_gives_settings_or_a_clear_error(environment: dict[str, str]) -> None:
    """Nothing but InvalidSettings comes out of an environment, whatever it holds."""
    assert outcome(environment=environment) in ("settings", "problems")
