"""Shapes on the wire: templates and their versions."""

from datetime import datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

FILE: Final = "file"
"""The version of what lies in the templates folder."""
LATEST: Final = "latest"
"""The newest version that is not deprecated."""

NAME_PATTERN: Final = "[A-Za-z0-9_][A-Za-z0-9_-]{0,63}"
VERSION_PATTERN: Final = "[A-Za-z0-9][A-Za-z0-9._+-]{0,63}"


def _not_reserved(version: str) -> str:
    if version in (FILE, LATEST):
        raise ValueError(f"{version!r} has a meaning of its own: take another version")
    return version


TemplateName = Annotated[str, StringConstraints(pattern=f"^{NAME_PATTERN}$")]
VersionName = Annotated[str, StringConstraints(pattern=f"^{VERSION_PATTERN}$")]
TemplateRef = Annotated[str, StringConstraints(pattern=f"^{NAME_PATTERN}(@{VERSION_PATTERN})?$")]


class CheckTemplate(BaseModel):
    """A definition that would become a version of a template."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"definition": "name: hello\nsteps:\n  greet: {kind: shell, with: {command: [echo, hello]}}\n"},
                {"name": "hello", "definition": {"name": "hello", "steps": {"greet": {"kind": "sleep"}}}},
            ]
        },
    )
    definition: dict[str, Any] | str = Field(
        description="An object, or the text of a YAML file (errors then name the line)."
    )
    name: TemplateName | None = Field(None, description="Null is the name in the definition.")
    version: Annotated[VersionName, AfterValidator(_not_reserved)] | None = Field(
        None, description="Null is the version that has this content already, or the next number: 1, 2, 3 …"
    )


class NewTemplate(CheckTemplate):
    """A definition that becomes a version of a template, for ever."""


class CheckedTemplate(BaseModel):
    """What registering would do."""

    name: str
    version: str
    digest: str
    is_new: bool = Field(description="False: this version is there already, with this content.")


class VersionView(BaseModel):
    """One version of a template."""

    version: str = Field(description="`file` for what lies in the templates folder and may change.")
    digest: str | None = Field(description="SHA-256 of the definition's canonical JSON; null for a file in a list.")
    created_at: datetime | None
    created_by: str | None
    deprecated_at: datetime | None = None
    deprecation: str | None = Field(None, description="Why, or what to take instead.")


class TemplateVersionView(VersionView):
    """One version of a template, with its definition."""

    name: str
    definition: dict[str, Any]


class TemplateView(BaseModel):
    """A template with its versions."""

    name: str
    latest: str | None = Field(description="What the bare name starts; null when every version is deprecated.")
    versions: list[VersionView] = Field(description="Newest first; the file last, if there is one.")


class TemplateSummaryView(BaseModel):
    """One template in a list."""

    name: str
    latest: str | None = Field(description="What the bare name starts; null when every version is deprecated.")


class TemplatePage(BaseModel):
    """A page of templates, by name."""

    items: list[TemplateSummaryView]
    next: str | None = Field(description="Send it as `cursor` to get the next page; null on the last one.")


class Deprecation(BaseModel):
    """Why a version should not be started any more; who names it may go on."""

    model_config = ConfigDict(extra="forbid")
    reason: str = Field("", max_length=1000, description="Why, or what to take instead.")
