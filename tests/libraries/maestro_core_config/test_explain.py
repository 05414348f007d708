"""Questions to loaded settings: origins, the table, the diff."""

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_core_config import Layer, NotComparable, Settings, UnknownSetting, diff, explain, origin_of, origins
from maestro_core_config.testing import settings_from


def test_every_value_has_an_origin(app: Any) -> None:
    """Origins are listed for each value, in the order of the class, also below sections and mappings."""
    settings = settings_from(
        app,
        environment={"MAESTRO_APP_SERVERS": '{"git": {"address": "h"}}', "MAESTRO_APP_ORIGINS": '["a"]'},
        overrides={"labels": {"team": "x"}},
    )

    assert list(origins(settings)) == [
        *("host", "port", "debug", "timeout_s", "origins", "labels.team"),
        *("servers.git.address", "servers.git.token", "servers.git.tags"),
        *("database.url", "database.pool_size", "database.password", "api_token"),
    ]
    assert str(origin_of(settings, "servers.git.address")) == "environment MAESTRO_APP_SERVERS"
    assert str(origin_of(settings, "servers.git.tags")) == "default"
    assert str(origin_of(settings, "labels.team")) == "override labels.team"


LAYERS = ("file", "environment", "secrets", "overrides")
WORDS = st.sampled_from(["host", "database.url", "labels.team", "labels.stage"])
TEXTS = st.text("abc", max_size=3)


class Words(Settings, env_prefix="MAESTRO_WORDS_"):
    host: str = "default"
    labels: Mapping[str, str] = {"team": "default", "stage": "default"}
    database: Mapping[str, str] = {"url": "default"}


def load_words(given_layers: dict[str, dict[str, str]]) -> Words:
    nested: dict[str, dict[str, Any]] = {layer: {} for layer in LAYERS}
    for layer, values in given_layers.items():
        for name, text in values.items():
            table, _, key = name.rpartition(".")
            (nested[layer].setdefault(table, {}) if table else nested[layer])[key] = text
    texts = {
        layer: {name.replace(".", "__"): text for name, text in given_layers.get(layer, {}).items()} for layer in LAYERS
    }
    return settings_from(
        Words,
        file=nested["file"],
        environment={f"MAESTRO_WORDS_{name.upper()}": text for name, text in texts["environment"].items()},
        secrets=texts["secrets"],
        overrides=nested["overrides"],
    )


@given(st.dictionaries(st.sampled_from(LAYERS), st.dictionaries(WORDS, TEXTS)))
def test_the_origin_names_the_layer_that_gave_the_value(given_layers: dict[str, dict[str, str]]) -> None:
    """For random values in random layers, each value is that of the highest layer naming it, and its origin says so."""
    settings = load_words(given_layers)

    for name, value in (
        ("host", settings.host),
        ("database.url", settings.database["url"]),
        ("labels.team", settings.labels["team"]),
        ("labels.stage", settings.labels["stage"]),
    ):
        winner = next((layer for layer in reversed(LAYERS) if name in given_layers.get(layer, {})), None)
        expected = given_layers[winner][name] if winner else "default"
        assert value == expected
        assert origin_of(settings, name).layer is (list(Layer)[1 + LAYERS.index(winner)] if winner else Layer.DEFAULT)


def test_a_question_about_no_value_names_the_nearest(app: Any) -> None:
    """A wrong name, or the name of a section, is refused with a suggestion."""
    with pytest.raises(UnknownSetting, match=r"no value 'prt'; did you mean port\?"):
        origin_of(app(), "prt")
    with pytest.raises(UnknownSetting, match="no value 'database'"):
        origin_of(app(), "database")


def test_the_table_shows_setting_value_and_origin(app: Any) -> None:
    """Columns are aligned, secrets are stars, long values are cut, and no value can start a line."""
    settings = settings_from(
        app,
        file={"host": "a\n\x1b[31mb\u202ec", "database": {"url": "x" * 200, "password": "s3cret-pw"}},
        secrets={"api_token": "s3cret"},
    )
    lines = explain(settings).splitlines()

    assert lines[0].split() == ["SETTING", "VALUE", "FROM"]
    assert len(lines) == 1 + len(origins(settings))
    host = next(line for line in lines if line.startswith("host"))
    assert r'"a\n\u001b[31mb\u202ec"' in host
    assert max(len(line) for line in lines[1:] if "xxx" in line) < 200
    assert "s3cret" not in explain(settings)
    assert [line.split()[1] for line in lines if line.startswith("api_token")] == ['"**********"']


def test_a_diff_lists_what_differs_with_both_origins(app: Any) -> None:
    """Changed, added and removed values are listed; a changed secret is listed but not shown."""
    before = settings_from(app, file={"labels": {"a": "1", "b": "2"}}, secrets={"api_token": "old-s3cret"})
    after = settings_from(
        app, file={"labels": {"a": "1", "c": "3"}}, secrets={"api_token": "new-s3cret"}, overrides={"port": 9000}
    )
    changes = diff(before, after)

    assert [change.setting for change in changes] == ["port", "labels.b", "api_token", "labels.c"]
    assert str(changes[0]) == "port: 8000 [default] -> 9000 [override port]"
    assert (changes[1].before, changes[1].after, changes[1].after_origin) == ('"2"', None, None)
    assert (changes[2].before, changes[2].after) == ('"**********"', '"**********"')
    assert str(changes[3]).startswith('labels.c: nothing -> "3" [file ')
    assert "s3cret" not in repr(changes)


def test_a_diff_of_equal_values_is_empty_whatever_their_origin(app: Any) -> None:
    """Where a value comes from is not a difference."""
    assert diff(app(), app(port=8000)) == ()


def test_only_one_class_can_be_compared(app: Any) -> None:
    """Settings of two classes have nothing to compare."""

    class Other(Settings, env_prefix="MAESTRO_OTHER_"):
        port: int = 1

    with pytest.raises(NotComparable, match="AppSettings and Other"):
        diff(app(), Other())
