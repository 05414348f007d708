"""A secret is given out by get_secret_value() alone: not by rendering, not by errors, not by a pickle."""

import copy
import json
import pickle
import traceback
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, field_validator, model_validator

from maestro_core_config import (
    InvalidSettings,
    SecretNotPickled,
    SecretText,
    Section,
    Settings,
    SettingsAreFrozen,
    diff,
    explain,
    json_schema,
    load_settings,
    markdown_table,
)
from maestro_core_config.testing import assert_never_leaks, settings_from


class Vault(Section):
    key: SecretText
    note: str = ""

    @model_validator(mode="after")
    def _refuse_note(self) -> "Vault":
        if self.note == "refuse":
            raise ValueError(f"refused with {self.key.get_secret_value().lower()}")
        if self.note == "plain":
            raise ValueError("a note must say more")
        return self


class Guarded(Settings, env_prefix="MAESTRO_GUARDED_"):
    api_token: SecretText = Field(min_length=3)
    keys: Mapping[str, SecretText] = {}
    old_keys: tuple[SecretText, ...] = ()
    vault: Vault
    pin: SecretText | None = None

    @field_validator("pin")
    @classmethod
    def _digits(cls, pin: SecretText | None) -> SecretText | None:
        if pin is not None and not pin.get_secret_value().isdigit():
            raise ValueError(f"{pin.get_secret_value().upper()} has other characters than digits")
        return pin


SECRETS = st.text(min_size=8, max_size=40).map(lambda text: f"<{text}>")


def renderings(settings: Settings, other: Settings) -> str:
    return "\n".join(
        [
            repr(settings),
            str(settings),
            f"{settings}",
            repr(settings.model_dump()),
            settings.model_dump_json(),
            json.dumps(settings.model_dump(mode="json"), ensure_ascii=False),
            repr(list(settings)),
            repr(settings.__dict__),
            repr(settings.__private_attributes__),
            repr(settings._origins),
            explain(settings),
            repr(diff(other, settings)),
            repr(copy.deepcopy(settings)),
            repr(settings.model_copy(deep=True)),
        ]
    )


@given(SECRETS, SECRETS, SECRETS, SECRETS)
def test_no_rendering_shows_a_secret(token: str, key: str, old: str, vault: str) -> None:
    """For random secrets in every kind of place, no way of rendering settings holds any of them."""
    values: dict[str, Any] = {
        "api_token": token,
        "keys": {"one": key},
        "old_keys": [old],
        "vault": {"key": vault},
    }
    settings = Guarded(**values)
    shown = renderings(settings, Guarded(api_token=SecretText("other"), vault=Vault(key=SecretText("k"))))

    for secret in (token, key, old, vault):
        assert secret not in shown
        assert repr(secret)[1:-1] not in shown
        assert json.dumps(secret)[1:-1] not in shown
    assert settings.api_token.get_secret_value() == token
    assert settings.keys["one"].get_secret_value() == key


WRONG: list[dict[str, Any]] = [
    {"api_token": ["S3CRET-VALUE"], "vault": {"key": {"a": "S3CRET-VALUE"}}},
    {"api_token": "S3CRET-VALUE", "vault": {"key": "S3CRET-VALUE", "note": "refuse"}},
    {"api_token": "S3CRET-VALUE", "vault": "S3CRET-VALUE"},
    {"api_token": "S3CRET-VALUE", "vault": {"key": "k"}, "keys": "S3CRET-VALUE"},
    {"api_token": "S3CRET-VALUE", "vault": {"key": "k"}, "keys": {"one": ["S3CRET-VALUE"]}},
    {"api_token": "S3CRET-VALUE", "vault": {"key": "k"}, "old_keys": ["a", {"b": "S3CRET-VALUE"}]},
    {"api_token": "x", "vault": {"key": "k"}, "pin": "s3cret-value"},
    {"api_token": "x", "vault": {"kee": "S3CRET-VALUE"}},
    {"api_token": 1 << 70, "vault": {"key": True}},
]


@pytest.mark.parametrize("values", WRONG)
def test_no_error_shows_a_secret(values: dict[str, Any]) -> None:
    """Whatever is wrong with a secret or beside it, the error says where, and never what."""
    with pytest.raises(InvalidSettings) as error:
        settings_from(Guarded, file=values)

    raised = error.value
    text = "".join(traceback.format_exception(raised)) + repr(raised) + repr(raised.problems) + repr(raised.args)
    assert "s3cret" not in text.lower()
    assert str(1 << 70) not in text
    assert raised.__cause__ is None
    assert raised.__context__ is None


def test_a_validators_own_words_about_a_secret_are_withheld() -> None:
    """Only pydantic's own messages are passed on for a secret, since a validator's may quote it in any form."""
    with pytest.raises(InvalidSettings) as error:
        Guarded(api_token=SecretText("token"), vault=Vault(key=SecretText("k")), pin=SecretText("s3cret"))

    assert [str(problem) for problem in error.value.problems] == [
        "pin: it is not valid (why is not said, since that would show a secret) [override pin]"
    ]


def test_a_sections_words_are_kept_unless_they_quote_a_secret() -> None:
    """A validator of a section beside a secret may say what is wrong."""
    values = {"api_token": "token", "vault": {"key": "S3CRET-VALUE", "note": "plain"}}

    with pytest.raises(InvalidSettings, match=r"vault: a note must say more \[file "):
        settings_from(Guarded, file=values)


def test_pydantics_words_about_a_secret_are_kept() -> None:
    """A message that cannot hold the value still helps."""
    with pytest.raises(InvalidSettings, match=r"api_token: Value should have at least 3 items"):
        settings_from(Guarded, environment={"MAESTRO_GUARDED_API_TOKEN": "x", "MAESTRO_GUARDED_VAULT__KEY": "k"})


def test_frames_of_an_error_hold_no_secret(tmp_path: Any) -> None:
    """A reporter that prints the local variables of each frame finds no secret in ours."""
    (tmp_path / "api_token").write_text("S3CRET-VALUE")
    (tmp_path / "pin").write_text("S3CRET-VALUE")

    with pytest.raises(InvalidSettings) as error:
        load_settings(Guarded, environment={}, secrets_dir=tmp_path)

    lines = traceback.TracebackException.from_exception(error.value, capture_locals=True).format()
    assert "S3CRET-VALUE" not in "".join(lines)


def test_broken_json_of_a_secret_is_not_shown() -> None:
    """A table of secrets that is not JSON is reported by place."""
    with pytest.raises(InvalidSettings) as error:
        settings_from(Guarded, environment={"MAESTRO_GUARDED_KEYS": '{"one": "S3CRET-VALUE}'})

    assert "line 1, column 9" in str(error.value)
    assert "S3CRET" not in str(error.value)


def test_an_attempt_to_set_a_secret_is_not_echoed() -> None:
    """The refusal to change settings does not repeat the value."""
    settings = Guarded(api_token=SecretText("token"), vault=Vault(key=SecretText("k")))

    with pytest.raises(SettingsAreFrozen) as error:
        settings.api_token = SecretText("S3CRET-VALUE")  # type: ignore[misc]  # frozen is what this test is about

    assert "S3CRET" not in str(error.value)
    assert error.value.__context__ is None


def test_a_secret_is_not_pickled() -> None:
    """A pickle with a secret is refused; settings without one can be pickled."""

    class Open(Settings, env_prefix="MAESTRO_OPEN_"):
        names: Mapping[str, str] = {"a": "b"}

    with pytest.raises(SecretNotPickled):
        pickle.dumps(SecretText("s3cret"))
    with pytest.raises(SecretNotPickled):
        pickle.dumps(Guarded(api_token=SecretText("token"), vault=Vault(key=SecretText("k"))))

    assert pickle.loads(pickle.dumps(Open().names)) == {"a": "b"}


def test_secrets_compare_by_value() -> None:
    """Equal secrets are equal and hash alike; a secret is never equal to its text."""
    assert SecretText("a") == SecretText("a")
    assert SecretText("a") != SecretText("b")
    assert SecretText("\ud800") != SecretText("ü")
    assert SecretText("a") != "a"
    assert hash(SecretText("a")) == hash(SecretText("a"))


def test_schema_and_docs_hide_default_secrets() -> None:
    """A default that is a SecretText is stars in everything that is exported."""

    class Default(Settings, env_prefix="MAESTRO_DEFAULT_"):
        api_token: SecretText = SecretText("s3cret-dev")
        keys: Mapping[str, SecretText] = {"one": SecretText("s3cret-key")}
        vault: Vault = Vault(key=SecretText("s3cret-vault"))

    exported = json.dumps(json_schema(Default)) + markdown_table(Default) + repr(Default.model_fields)
    assert "s3cret" not in exported


def test_the_conformance_helper_accepts_a_good_class(app: Any) -> None:
    """Classes of this folder pass the check that every program can run on its own."""
    assert_never_leaks(app, given={"servers": {"item": {"address": "h"}}})
    assert_never_leaks(Guarded, secrets={"pin": "1234567890"})


def test_the_conformance_helper_finds_a_secret_in_plain_text() -> None:
    """A setting that is named like a secret and typed as text is found."""

    class Careless(Settings, env_prefix="MAESTRO_CARELESS_"):
        db_password: str = ""

    with pytest.raises(AssertionError, match="db_password is named like a secret"):
        assert_never_leaks(Careless)


def test_the_conformance_helper_finds_a_class_that_shows_its_secret() -> None:
    """A class whose own rendering gives the secret out is found."""

    class Talkative(Settings, env_prefix="MAESTRO_TALKATIVE_"):
        api_token: SecretText

        def __repr__(self) -> str:
            return f"Talkative({self.api_token.get_secret_value()})"

    with pytest.raises(AssertionError, match=r"repr\(\) shows the secret api_token"):
        assert_never_leaks(Talkative)
