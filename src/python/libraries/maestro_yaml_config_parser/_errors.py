"""What can be wrong with a file.

YamlError
├── Unreadable        the file cannot be opened, or is not text in UTF-8
├── BadSyntax         the text is not YAML (or JSON), or is empty
├── NotSupported      it is YAML, but a part of YAML that is refused: tags, merge keys, several documents, …
├── BadValue          a key or value that JSON cannot hold
├── DuplicateKey      a key is written twice in one mapping
└── TooLarge          a limit is exceeded: size, depth, number of values, aliases
"""

from typing import ClassVar


class YamlError(Exception):
    """Root of everything that this package raises; line and column count from 1, None where there is no place."""

    code: ClassVar[str] = "yaml.failed"
    retryable: ClassVar[bool] = False

    def __init__(
        self, reason: str, *, file: str | None = None, line: int | None = None, column: int | None = None
    ) -> None:
        self.reason = reason
        self.file = file
        self.line = line
        self.column = column
        place = [file] if file else []
        if line is not None:
            place += [str(line), str(column)]
        super().__init__(f"{':'.join(place)}: {reason}" if place else reason)


class Unreadable(YamlError):
    """The file cannot be opened, or is not text in UTF-8."""

    code: ClassVar[str] = "yaml.unreadable"


class BadSyntax(YamlError):
    """The text is not YAML (or JSON), or is empty."""

    code: ClassVar[str] = "yaml.bad-syntax"


class NotSupported(YamlError):
    """It is YAML, but a part of YAML that is refused."""

    code: ClassVar[str] = "yaml.not-supported"


class BadValue(YamlError):
    """A key or value that JSON cannot hold."""

    code: ClassVar[str] = "yaml.bad-value"


class DuplicateKey(YamlError):
    """A key is written twice in one mapping; `first_line` and `first_column` say where it was written first."""

    code: ClassVar[str] = "yaml.duplicate-key"

    def __init__(
        self, reason: str, *, file: str | None, line: int, column: int, first_line: int, first_column: int
    ) -> None:
        self.first_line = first_line
        self.first_column = first_column
        super().__init__(reason, file=file, line=line, column=column)


class TooLarge(YamlError):
    """A limit is exceeded."""

    code: ClassVar[str] = "yaml.too-large"
