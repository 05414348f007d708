"""Where a value comes from, and what can be wrong with it."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


class Layer(StrEnum):
    """The layers of settings, lowest first: a later one wins over an earlier one."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"
    SECRETS = "secrets file"
    OVERRIDE = "override"


@dataclass(frozen=True, slots=True)
class Origin:
    """The place that gave a value: its layer, the name used there, and the file if there is one."""

    layer: Layer
    name: str = ""
    file: Path | None = None

    def __str__(self) -> str:
        words = [str(self.layer)]
        if self.file is not None:
            words.append(f"{self.file}:" if self.name else str(self.file))
        if self.name:
            words.append(self.name)
        return printable(" ".join(words))


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with the settings; `setting` is the dotted name, or "" when it concerns a whole layer."""

    setting: str
    message: str
    origin: Origin | None = None

    def __str__(self) -> str:
        text = f"{self.setting}: {self.message}" if self.setting else self.message
        return printable(f"{text} [{self.origin}]" if self.origin else text)


def printable(text: str) -> str:
    """Text in which nothing can move the cursor or start a line: what does not print is escaped."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)
