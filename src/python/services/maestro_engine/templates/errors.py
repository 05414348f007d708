"""What this room refuses.

TemplateError
├── UnknownTemplate             no template has this name
├── UnknownTemplateVersion      the template has no such version
├── TemplateDeprecated          every version is deprecated, and none was named
├── TemplateVersionTaken        the version has other content, and keeps it for ever
├── TemplateNameMissing         the name of the definition will not do as that of a template
└── TemplateInUse               schedules start it
"""

from collections.abc import Sequence
from typing import ClassVar


class TemplateError(Exception):
    """Root of what the room raises of itself."""

    code: ClassVar[str] = "template"
    retryable: ClassVar[bool] = False


class UnknownTemplate(TemplateError):
    """No template has this name; `known` are names that exist."""

    code = "template.unknown"

    def __init__(self, name: str, known: Sequence[str]) -> None:
        self.known = tuple(known)
        listed = ", ".join(self.known) if self.known else "there are none"
        super().__init__(f"There is no template {name!r}; known: {listed}.")


class UnknownTemplateVersion(TemplateError):
    """The template has no such version; `known` are the newest that it has."""

    code = "template.unknown-version"

    def __init__(self, name: str, version: str, known: Sequence[str]) -> None:
        self.known = tuple(known)
        super().__init__(f"Template {name!r} has no version {version!r}; known: {', '.join(self.known)}.")


class TemplateDeprecated(TemplateError):
    """Every version is deprecated, so that none is the latest."""

    code = "template.deprecated"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"Every version of template {name!r} is deprecated: name the one to start, or register another."
        )


class TemplateVersionTaken(TemplateError):
    """The version has other content."""

    code = "template.version-taken"

    def __init__(self, name: str, version: str) -> None:
        super().__init__(
            f"Version {version!r} of template {name!r} has other content, which never changes: take another version."
        )


class TemplateNameMissing(TemplateError):
    """The name of the definition will not do as that of a template."""

    code = "template.name-missing"

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name[:80]!r} will not do as the name of a template: give `name`, of letters, digits, '_' and '-'."
        )


class TemplateInUse(TemplateError):
    """Schedules start it; `schedules` names them."""

    code = "template.in-use"

    def __init__(self, name: str, schedules: Sequence[str]) -> None:
        self.schedules = tuple(schedules)
        super().__init__(f"Template {name!r} is started by schedules: {', '.join(self.schedules[:20])}.")
