"""Shapes on the wire: what there is to tell of a secret, which is never its value."""

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from maestro_core_config import SecretText

MAX_VALUE_CHARS = 65_536
SecretName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]

_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9:.]{8,30}([Zz]|[+-][0-9]{2}:[0-9]{2})", re.ASCII)
_EXPECTED = "a date with time and zone was expected, such as 2030-01-31T12:00:00Z"


def _moment(value: object) -> object:
    if value is None:
        return None
    if not isinstance(value, str) or not _MOMENT.fullmatch(value):
        raise ValueError(_EXPECTED)
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(_EXPECTED) from error


class SetSecret(BaseModel):
    """A value for a secret."""

    model_config = ConfigDict(extra="forbid")
    value: SecretText = Field(
        min_length=1, max_length=MAX_VALUE_CHARS, description="Kept encrypted; no answer ever holds it."
    )
    description: Annotated[str, StringConstraints(max_length=500)] = Field("", description="What it is for.")
    expires_at: Annotated[datetime | None, BeforeValidator(_moment)] = Field(
        None, description="From then on no step gets it; null is never."
    )


class SecretView(BaseModel):
    """One secret, without its value. A step has it as `${{ secrets.NAME }}`."""

    name: str
    version: int = Field(description="Counts the values that it has had.")
    description: str
    created_at: datetime
    changed_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="When a step was given it, to the minute.")
    key_id: str = Field(description="The key that it is encrypted with.")
    is_readable: bool = Field(description="Whether the engine has that key.")


class SecretList(BaseModel):
    """Every secret, by name."""

    items: list[SecretView]
    key_id: str | None = Field(description="The key that new values are encrypted with; null where there is none.")


class KeyRotated(BaseModel):
    """What was encrypted anew."""

    key_id: str = Field(description="The key that everything is encrypted with from now on.")
    is_new: bool = Field(description="Whether the engine made it; where keys are given to it, it takes the first.")
    resealed: int = Field(description="Secrets that were encrypted with another key before.")
    unreadable: list[str] = Field(description="Secrets whose key the engine does not have: left as they are.")
