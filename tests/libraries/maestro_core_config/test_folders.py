"""The platform's folders."""

from collections.abc import Callable, Mapping
from pathlib import Path

import platformdirs
import pytest

from maestro_core_config import InvalidSettings, cache_dir, config_dir, data_dir

Folder = Callable[[Mapping[str, str] | None], Path]
FOLDERS = [
    (data_dir, "MAESTRO_DATA_DIR", platformdirs.user_data_path),
    (config_dir, "MAESTRO_CONFIG_DIR", platformdirs.user_config_path),
    (cache_dir, "MAESTRO_CACHE_DIR", platformdirs.user_cache_path),
]


@pytest.mark.parametrize(("folder", "variable", "platform"), FOLDERS)
def test_a_variable_moves_a_folder(
    folder: Folder, variable: str, platform: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The variable wins, unset and empty mean the platform's folder, and nothing is created."""
    moved = tmp_path / "moved"
    monkeypatch.setenv("HOME", str(tmp_path))

    assert folder({variable: str(moved)}) == moved
    assert folder({variable: "~/x"}) == tmp_path / "x"
    assert folder({variable: ""}) == folder({}) == platform("maestro", appauthor=False)
    assert not moved.exists()
    monkeypatch.setenv(variable, str(moved))
    assert folder(None) == moved


@pytest.mark.parametrize("text", ["relative/path", "~no-such-user-here/x", "/nul\0byte"])
def test_a_folder_that_depends_on_chance_is_refused(text: str) -> None:
    """A relative path would mean another folder after each `cd`; the error names the variable."""
    with pytest.raises(InvalidSettings, match=r"\[environment MAESTRO_DATA_DIR\]"):
        data_dir({"MAESTRO_DATA_DIR": text})
