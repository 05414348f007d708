"""Shapes on the wire: who is asking, users, and the keys by which they are known."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StringConstraints

RoleName = Literal["viewer", "approver", "operator", "admin"]
Subject = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9@._+-]{0,99}$")]
Label = Annotated[str, StringConstraints(pattern=r"^[ -~]{0,100}$")]


def _no_text(value: object) -> object:
    if isinstance(value, str | bool):
        raise ValueError("a number was expected")
    return value


LifetimeDays = Annotated[
    int,
    Field(ge=1, le=366, description="After so many days a key is of no use any more."),
    BeforeValidator(_no_text),
]


class Caller(BaseModel):
    """Who is asking, and what for they may ask."""

    subject: str
    kind: str = Field(description="By what: `key`; or `local`, where nobody has to sign in.")
    roles: list[str]
    permissions: list[str]
    key_id: str | None = Field(description="The key that was shown, by its id.")


class KeyView(BaseModel):
    """An API key, without its secret. It lets its owner do what the owner may at the time."""

    id: str
    subject: str
    label: str
    created_at: datetime
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute.")


class KeyList(BaseModel):
    """Keys, oldest first; those that ended too."""

    items: list[KeyView]


class NewKey(BaseModel):
    """A key that is to be made."""

    model_config = ConfigDict(extra="forbid")
    label: Label = Field("", description="What it is for.")
    lifetime_days: LifetimeDays = 90


class IssuedKeyView(BaseModel):
    """A new key. The secret is in this answer and never again."""

    key: KeyView
    secret: str = Field(description="Send it as `Authorization: Bearer …`.")


class UserView(BaseModel):
    """Somebody, or some program, that has keys."""

    subject: str
    roles: list[str]
    disabled: bool = Field(description="Shut out, with all keys.")
    created_at: datetime


class UserList(BaseModel):
    """Every user, by name."""

    items: list[UserView]


class NewUser(BaseModel):
    """A user to be made, with one role and a first key."""

    model_config = ConfigDict(extra="forbid")
    subject: Subject
    role: RoleName
    lifetime_days: LifetimeDays = 90


class NewUserView(BaseModel):
    """The new user, and the first key."""

    user: UserView
    issued: IssuedKeyView


class ChangeUser(BaseModel):
    """What a user is from now on; keys that exist follow at once."""

    model_config = ConfigDict(extra="forbid")
    role: RoleName
    disabled: StrictBool = False
