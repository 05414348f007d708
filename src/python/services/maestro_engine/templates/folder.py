"""Template files: the YAML files of one folder, by name."""

import re
from pathlib import Path

from maestro_engine.templates.errors import UnknownTemplate

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,63}")
_SUFFIXES = (".yml", ".yaml")


class TemplateFolder:
    """The templates in `folder`, read anew at each call, so that a file that is added is there at once.

    A name is looked up among the files that the folder holds and never joined to a path.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """The names that can be started, sorted."""
        return sorted(self._files())

    def path(self, name: str) -> Path:
        """The file behind `name`; raises UnknownTemplate."""
        files = self._files()
        if name not in files:
            raise UnknownTemplate(name, sorted(files))
        return files[name]

    def _files(self) -> dict[str, Path]:
        if not self.folder.is_dir():
            return {}
        return {
            file.stem: file
            for file in sorted(self.folder.iterdir(), reverse=True)
            if file.suffix in _SUFFIXES and _NAME.fullmatch(file.stem) and file.is_file()
        }
