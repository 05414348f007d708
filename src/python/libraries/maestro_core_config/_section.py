"""A table of settings: frozen, closed to unknown keys, and checked when its class is defined."""

from collections import deque
from collections.abc import Mapping, MutableMapping, MutableSequence, MutableSet, Sequence
from collections.abc import Set as AbstractSet
from typing import Annotated, Any, NoReturn, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Secret, SecretBytes, SecretStr, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from maestro_core_config._errors import BadSettingsClass, SettingsAreFrozen
from maestro_core_config._frozen import freeze
from maestro_core_config._secret import SecretText

_INSTEAD: dict[Any, str] = {
    **dict.fromkeys((list, deque, Sequence, MutableSequence), "write tuple[…, ...]"),
    **dict.fromkeys((set, AbstractSet, MutableSet), "write frozenset[…]"),
    **dict.fromkeys((dict, MutableMapping), "write Mapping[…] from collections.abc"),
    **dict.fromkeys((SecretStr, SecretBytes, Secret), "write SecretText"),
    BaseModel: "derive it from Section",
}
_REFUSED_WITH_SUBCLASSES = (BaseModel, SecretStr, SecretBytes, Secret)


class Section(BaseModel):
    """A group of settings inside a settings class; it cannot be changed once it is made."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        hide_input_in_errors=True,
        arbitrary_types_allowed=False,
    )

    @model_validator(mode="after")
    def _freeze_mappings(self) -> Self:
        self.__dict__.update({name: freeze(value) for name, value in self.__dict__.items()})
        return self

    @classmethod
    def __pydantic_on_complete__(cls) -> None:
        for name, field in cls.model_fields.items():
            _check_field(cls, name, field)

    def __setattr__(self, name: str, value: Any) -> None:
        if name.startswith("_"):
            super().__setattr__(name, value)
        else:
            _refuse(f"{type(self).__name__}.{name}")

    def __delattr__(self, name: str) -> None:
        _refuse(f"{type(self).__name__}.{name}")

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy; with `update` it would hold values that no layer gave, so that is refused."""
        if update:
            _refuse(type(self).__name__)
        return super().model_copy(deep=deep)


def is_section(annotation: Any) -> bool:
    """Whether a field of this type is a table of settings."""
    return isinstance(annotation, type) and issubclass(annotation, Section)


def holds_secret(annotation: Any) -> bool:
    """Whether a secret may be found anywhere in a value of this type."""
    if is_section(annotation):
        return any(holds_secret(field.annotation) for field in annotation.model_fields.values())
    return annotation is SecretText or any(holds_secret(argument) for argument in get_args(annotation))


def _refuse(what: str) -> NoReturn:
    raise SettingsAreFrozen(f"{what}: settings do not change after they were loaded: load them again with overrides")


def _check_field(cls: type[Section], name: str, field: FieldInfo) -> None:
    where = f"{cls.__name__}.{name}"
    if name != name.lower() or "__" in name or name.endswith("_"):
        raise BadSettingsClass(f"{where}: name it in lower case, without '__' and without '_' at its end")
    if field.alias is not None or field.validation_alias is not None:
        raise BadSettingsClass(f"{where}: a setting has one name; take the alias away")
    _check_type(where, field.annotation, (cls,))
    if holds_secret(field.annotation) and _holds_text(field.default):
        raise BadSettingsClass(f"{where}: its default would be seen in exports; write SecretText(…) or no default")


def _check_type(where: str, annotation: Any, inside: tuple[type[Section], ...]) -> None:
    origin = get_origin(annotation) or annotation
    if origin is Annotated:
        return _check_type(where, get_args(annotation)[0], inside)
    instead = next((advice for refused, advice in _INSTEAD.items() if _is_refused(origin, refused)), None)
    if instead is not None:
        raise BadSettingsClass(f"{where}: {origin.__name__} can change or be seen after the load; {instead}")
    if origin in inside:
        raise BadSettingsClass(f"{where}: a section cannot hold itself, since every setting needs a finite name")
    if is_section(origin):
        for name, field in origin.model_fields.items():
            _check_type(f"{where}.{name}", field.annotation, (*inside, origin))
    for argument in get_args(annotation):
        _check_type(where, argument, inside)
    return None


def _is_refused(origin: Any, refused: type) -> bool:
    if not isinstance(origin, type) or origin is SecretText:
        return False
    if is_section(origin):
        return refused is BaseModel and issubclass(origin, BaseSettings)
    return issubclass(origin, refused) if refused in _REFUSED_WITH_SUBCLASSES else origin is refused


def _holds_text(default: object) -> bool:
    if isinstance(default, Mapping):
        return any(_holds_text(item) for item in default.values())
    if isinstance(default, tuple | list | frozenset):
        return any(_holds_text(item) for item in default)
    return isinstance(default, str | bytes)
