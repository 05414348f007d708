"""The base class of a program's settings."""

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from pydantic import BaseModel, PrivateAttr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from maestro_core_config._errors import BadSettingsClass, InvalidSettings
from maestro_core_config._layers import Reading, flat, merge, plain, read_tree, with_defaults
from maestro_core_config._origin import Layer, Origin
from maestro_core_config._problems import problems_of
from maestro_core_config._section import Section
from maestro_core_config._shape import Name, environment_name


class Settings(Section, BaseSettings):
    """All settings of a program; derive with `env_prefix="MAESTRO_ENGINE_"`, and load with `load_settings`.

    An object made by hand reads nothing from the world: it holds what it is given, and the defaults.
    """

    model_config = SettingsConfigDict(arbitrary_types_allowed=False)

    foreign_environment: ClassVar[tuple[str, ...]] = ()
    """Longer prefixes in the environment that belong to other programs, so that they are not reported here."""

    _origins: dict[Name, Origin] = PrivateAttr(default_factory=dict)

    def __init__(self, /, **values: Any) -> None:
        assemble(self, [read_overrides(type(self), values)])

    @classmethod
    def __pydantic_on_complete__(cls) -> None:
        super().__pydantic_on_complete__()
        prefix = environment_name(cls, ())
        if cls.model_fields and not (prefix.endswith("_") and prefix == prefix.upper() and prefix.strip("_")):
            raise BadSettingsClass(
                f"{cls.__name__}: give it a prefix in upper case with '_' at its end, as in "
                f'class {cls.__name__}(Settings, env_prefix="MAESTRO_ENGINE_")'
            )


def assemble(settings: Settings, readings: Sequence[Reading]) -> None:
    """Fill new settings from layers, lowest first; raises InvalidSettings with every problem of all of them."""
    cls = type(settings)
    tree = with_defaults(cls, merge(reading.tree for reading in readings))
    lost = {name for reading in readings for name in reading.lost}
    problems = [problem for reading in readings for problem in reading.problems]
    try:
        BaseModel.__init__(settings, **plain(tree))
    except ValidationError as error:
        problems.extend(problems_of(cls, tree, error, lost))
    if problems:  # outside of `except`: a ValidationError holds the values, and so the secrets
        raise InvalidSettings(cls.__name__, tuple(problems))
    settings._origins = {name: value.origin for name, value in flat(tree)}


def read_overrides(cls: type[Settings], values: Mapping[str, object]) -> Reading:
    """The highest layer: what the caller decides."""
    return read_tree(cls, values, lambda name: Origin(Layer.OVERRIDE, ".".join(name)))
