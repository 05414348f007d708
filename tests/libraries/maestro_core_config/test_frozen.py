"""Settings stay as loaded, and a class that could not promise this is refused when it is defined."""

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field, Secret, SecretStr, create_model
from pydantic.errors import PydanticSchemaGenerationError

from maestro_core_config import BadSettingsClass, SecretText, Section, Settings, SettingsAreFrozen


def test_a_setting_cannot_be_changed(app: Any) -> None:
    """Setting and deleting are refused at every depth; the message says what to do instead."""
    settings = app(servers={"git": {"address": "h"}})

    for change in (
        lambda: setattr(settings, "port", 1),
        lambda: setattr(settings, "new", 1),
        lambda: delattr(settings, "port"),
        lambda: setattr(settings.database, "url", "x"),
        lambda: setattr(settings.servers["git"], "address", "x"),
        lambda: settings.model_copy(update={"port": 1}),
    ):
        with pytest.raises(SettingsAreFrozen, match="load them again with overrides"):
            change()

    assert settings.port == 8000


def test_a_mapping_cannot_be_changed(app: Any) -> None:
    """Every way to change a dict is refused; reading, copying and comparing work."""
    labels: Any = app(labels={"a": "1"}).labels

    changes: tuple[Callable[[], Any], ...] = (
        lambda: labels.__setitem__("b", "2"),
        lambda: labels.__delitem__("a"),
        lambda: labels.__ior__({"b": "2"}),
        lambda: labels.update(b="2"),
        lambda: labels.setdefault("b", "2"),
        lambda: labels.pop("a"),
        lambda: labels.popitem(),
        lambda: labels.clear(),
    )
    for change in changes:
        with pytest.raises(SettingsAreFrozen):
            change()

    assert labels == {"a": "1"}
    assert copy.deepcopy(labels) == labels
    assert hash(labels) == hash(copy.copy(labels))


def test_lists_inside_free_values_become_tuples() -> None:
    """Where the class allows anything, tables and lists are frozen too."""

    class Free(Settings, env_prefix="MAESTRO_FREE_"):
        anything: Any = None

    settings = Free(anything={"a": [1, {"b": [2]}]})

    assert settings.anything == {"a": (1, {"b": (2,)})}
    with pytest.raises(SettingsAreFrozen):
        settings.anything["a"][1]["b"] = 3


class Plain(BaseModel):
    x: int = 1


class Odd:
    pass


class Nested(Settings, env_prefix="MAESTRO_NESTED_"):
    x: int = 1


@pytest.mark.parametrize(
    ("annotation", "advice"),
    [
        (list[str], r"write tuple\[…, ...\]"),
        (Sequence[str], r"write tuple\[…, ...\]"),
        (set[str], r"write frozenset\[…\]"),
        (dict[str, str], r"write Mapping\[…\] from collections.abc"),
        (Plain, "derive it from Section"),
        (Nested, "derive it from Section"),
        (SecretStr, "write SecretText"),
        (Secret[int], "write SecretText"),
        (Mapping[str, list[int]] | None, "write tuple"),
        (tuple[Plain, ...], "derive it from Section"),
        (Annotated[list[int], Field(min_length=1)] | None, "write tuple"),
    ],
)
def test_a_type_that_can_change_is_refused(annotation: Any, advice: str) -> None:
    """The definition fails with the field and what to write, at any depth of the type."""
    with pytest.raises(BadSettingsClass, match=rf"Made\.field: .*{advice}"):
        create_model("Made", __base__=Section, field=(annotation, ...))


@pytest.mark.parametrize("name", ["Port", "a__b", "a_"])
def test_a_name_that_the_environment_cannot_carry_is_refused(name: str) -> None:
    """Names must survive the way to an environment variable and back."""
    with pytest.raises(BadSettingsClass, match="lower case"):
        create_model("Made", __base__=Section, **{name: (int, 1)})  # type: ignore[call-overload]  # the name is data


def test_an_alias_is_refused() -> None:
    """One setting has one name in every layer."""
    with pytest.raises(BadSettingsClass, match="one name"):
        create_model("Made", __base__=Section, field=(int, Field(1, alias="other")))


@pytest.mark.parametrize("prefix", ["", "maestro_", "MAESTRO", "_"])
def test_a_settings_class_needs_a_prefix(prefix: str) -> None:
    """Without a prefix of its own a class could not tell its variables from others'."""
    with pytest.raises(BadSettingsClass, match="give it a prefix"):

        class _Made(Settings, env_prefix=prefix):
            port: int = 1


def test_a_section_inside_itself_is_refused() -> None:
    """A recursive section would have endlessly many settings."""
    with pytest.raises(BadSettingsClass, match="cannot hold itself"):

        class _Node(Section):
            child: "_Node | None" = None


def test_a_secret_default_in_clear_text_is_refused() -> None:
    """pydantic would export such a default as it is."""
    with pytest.raises(BadSettingsClass, match="write SecretText"):
        create_model("Made", __base__=Section, field=(SecretText, "s3cret"))
    with pytest.raises(BadSettingsClass, match="write SecretText"):
        create_model("Made", __base__=Section, field=(Mapping[str, SecretText], {"a": "s3cret"}))


def test_a_type_without_validation_is_refused() -> None:
    """Types that pydantic cannot check, and that may change unseen, are no settings."""
    with pytest.raises(PydanticSchemaGenerationError):
        create_model("Made", __base__=Settings, __cls_kwargs__={"env_prefix": "MADE_"}, field=(Odd, ...))
    with pytest.raises(PydanticSchemaGenerationError):
        create_model("Made", __base__=Section, field=(bytearray, ...))
