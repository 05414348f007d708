"""Loading from every layer, alone and together."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from maestro_core_config import InvalidSettings, Layer, Section, Settings, load_settings, origin_of
from maestro_core_config.testing import settings_from


def problems(error: pytest.ExceptionInfo[InvalidSettings]) -> list[str]:
    return [str(problem) for problem in error.value.problems]


def test_defaults_stand_when_no_layer_says_anything(app: Any) -> None:
    """Without any layer the defaults of the class are the settings."""
    settings = load_settings(app, environment={})

    assert (settings.host, settings.port, settings.database.url) == ("127.0.0.1", 8000, "sqlite:///app.db")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("app.toml", 'port = 9000\n[database]\nurl = "x"\n[servers.git]\naddress = "h"\n'),
        ("app.json", '{"port": 9000, "database": {"url": "x"}, "servers": {"git": {"address": "h"}}}'),
        ("bom.json", '\ufeff{"port": 9000, "database": {"url": "x"}, "servers": {"git": {"address": "h"}}}'),
    ],
)
def test_a_file_gives_values(app: Any, tmp_path: Path, name: str, text: str) -> None:
    """TOML and JSON are read alike, with the file and the key as origin."""
    file = tmp_path / name
    file.write_text(text, encoding="utf-8")

    settings = load_settings(app, file=file, environment={})

    assert (settings.port, settings.database.url, settings.servers["git"].address) == (9000, "x", "h")
    assert str(origin_of(settings, "database.url")) == f"file {file}: database.url"


def test_the_environment_gives_values_of_every_type(app: Any) -> None:
    """Scalars are written plainly, lists and tables as JSON, nested names with two underscores."""
    settings = settings_from(
        app,
        environment={
            "MAESTRO_APP_PORT": "9000",
            "MAESTRO_APP_DEBUG": "true",
            "MAESTRO_APP_TIMEOUT_S": "1.5",
            "MAESTRO_APP_ORIGINS": '["a", "b"]',
            "MAESTRO_APP_LABELS": '{"team": "x"}',
            "MAESTRO_APP_LABELS__STAGE": "prod",
            "MAESTRO_APP_DATABASE__POOL_SIZE": "7",
            "MAESTRO_APP_SERVERS__GIT__ADDRESS": "h",
            "MAESTRO_APP_SERVERS__GIT__TAGS": '["t"]',
            "PATH": "ignored",
        },
    )

    assert (settings.port, settings.debug, settings.timeout_s) == (9000, True, 1.5)
    assert settings.origins == ("a", "b")
    assert settings.labels == {"team": "x", "stage": "prod"}
    assert (settings.database.url, settings.database.pool_size) == ("sqlite:///app.db", 7)
    assert (settings.servers["git"].address, settings.servers["git"].tags) == ("h", ("t",))


def test_os_environ_is_the_environment_unless_one_is_given(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process environment is read by default, and not at all when another is given."""
    monkeypatch.setenv("MAESTRO_APP_PORT", "9000")

    assert load_settings(app).port == 9000
    assert load_settings(app, environment={}).port == 8000


def test_the_more_a_variable_says_the_later_it_counts(app: Any) -> None:
    """Of a JSON table and a single key of it in one environment, the single key wins."""
    settings = settings_from(
        app,
        environment={
            "MAESTRO_APP_DATABASE__URL": "single",
            "MAESTRO_APP_DATABASE": '{"url": "table", "pool_size": 9}',
        },
    )

    assert (settings.database.url, settings.database.pool_size) == ("single", 9)
    assert origin_of(settings, "database.url").name == "MAESTRO_APP_DATABASE__URL"
    assert origin_of(settings, "database.pool_size").name == "MAESTRO_APP_DATABASE"


def test_a_secrets_folder_gives_values(app: Any) -> None:
    """Files are named like the settings; the line end that editors add is not part of a secret, spaces are."""
    settings = settings_from(app, secrets={"api_token": " s3cret \n", "database__password": "pw\r\n", "port": "1"})

    assert settings.api_token.get_secret_value() == " s3cret "
    assert settings.database.password.get_secret_value() == "pw"
    assert settings.port == 1


VALUES: dict[Layer, int] = {layer: 8001 + number for number, layer in enumerate(Layer) if layer is not Layer.DEFAULT}


@given(st.sets(st.sampled_from(list(VALUES))))
def test_the_order_of_the_layers(present: set[Layer]) -> None:
    """default < file < environment < secrets folder < override, for every subset of them."""

    class Ordered(Settings, env_prefix="MAESTRO_ORDERED_"):
        port: int = 8000

    text = {layer: str(VALUES[layer]) for layer in present}
    settings = settings_from(
        Ordered,
        file={"port": VALUES[Layer.FILE]} if Layer.FILE in present else {},
        environment={"MAESTRO_ORDERED_PORT": text[Layer.ENVIRONMENT]} if Layer.ENVIRONMENT in present else {},
        secrets={"port": text[Layer.SECRETS]} if Layer.SECRETS in present else {},
        overrides={"port": VALUES[Layer.OVERRIDE]} if Layer.OVERRIDE in present else {},
    )

    winner = next((layer for layer in reversed(Layer) if layer in present), Layer.DEFAULT)
    assert settings.port == VALUES.get(winner, 8000)
    assert origin_of(settings, "port").layer is winner


def test_an_override_wins_also_with_none(app: Any) -> None:
    """None is a value like any other for a caller."""
    settings = settings_from(app, file={"timeout_s": 5}, overrides={"timeout_s": None})

    assert settings.timeout_s is None


def test_single_keys_of_a_default_table_can_be_changed(app: Any) -> None:
    """A layer that names one key of a section leaves the section's other defaults in place."""
    settings = settings_from(app, file={"database": {"pool_size": 9}})

    assert (settings.database.url, settings.database.pool_size) == ("sqlite:///app.db", 9)
    assert origin_of(settings, "database.url").layer is Layer.DEFAULT


def test_defaults_inside_defaults_are_kept() -> None:
    """The same holds for a section inside a section, and for sections in a mapping."""

    class Inner(Section):
        a: int = 1
        b: int = 2

    class Outer(Section):
        inner: Inner = Inner(a=10)

    class Deep(Settings, env_prefix="MAESTRO_DEEP_"):
        outer: Outer = Outer()
        made: Outer = Field(default_factory=Outer)
        absent: Outer | None = None
        many: Mapping[str, Outer] = {"one": Outer(inner=Inner(b=20))}

    settings = settings_from(
        Deep,
        file={
            "outer": {"inner": {"b": 3}},
            "made": {"inner": {"b": 4}},
            "many": {"one": {"inner": {"a": 5}}, "two": {"inner": {"b": 6}}},
        },
    )

    assert (settings.outer.inner.a, settings.outer.inner.b) == (10, 3)
    assert (settings.made.inner.a, settings.made.inner.b) == (10, 4)
    assert settings.absent is None
    assert (settings.many["one"].inner.a, settings.many["one"].inner.b) == (5, 20)
    assert (settings.many["two"].inner.a, settings.many["two"].inner.b) == (10, 6)


def test_an_empty_mapping_clears_the_ones_below(app: Any) -> None:
    """A mapping is joined key by key; only an empty one takes away what lower layers gave."""
    below = {"labels": {"team": "x"}}

    assert settings_from(app, file=below, overrides={"labels": {"a": "b"}}).labels == {"team": "x", "a": "b"}
    assert settings_from(app, file=below, overrides={"labels": {}}).labels == {}


def test_a_section_that_is_required_needs_only_its_own_required_settings() -> None:
    """A section without a default is made from its defaults; what it lacks is asked for by its full name."""

    class Store(Section):
        url: str
        size: int = 1

    class Program(Settings, env_prefix="MAESTRO_PROGRAM_"):
        store: Store

    with pytest.raises(InvalidSettings) as error:
        settings_from(Program)

    assert problems(error) == [
        "store.url: it is required; set MAESTRO_PROGRAM_STORE__URL, or store.url in the file",
    ]
    assert settings_from(Program, file={"store": {"url": "x"}}).store.size == 1


def test_an_object_made_by_hand_reads_nothing(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calling the class gives what the caller says and the defaults, whatever the environment holds."""
    monkeypatch.setenv("MAESTRO_APP_PORT", "9000")

    settings = app(debug=True)

    assert (settings.port, settings.debug) == (8000, True)
    assert str(origin_of(settings, "debug")) == "override debug"
    with pytest.raises(InvalidSettings, match=r"port: Input should be a valid integer"):
        app(port="x")


def test_all_problems_of_all_layers_come_at_once(app: Any) -> None:
    """One error lists every unknown name with the nearest known one, and every wrong value, each with its origin."""
    with pytest.raises(InvalidSettings) as error:
        settings_from(
            app,
            file={"prot": 1, "database": {"pool": 1, "pool_size": "many"}, "pool_size": 3},
            environment={
                "MAESTRO_APP_HOTS": "x",
                "maestro_app_port": "1",
                "MAESTRO_APP_DATABASE__PASSWROD": "s3cret",
                "MAESTRO_APP_PORT__X": "1",
                "MAESTRO_APP_": "1",
                "MAESTRO_APP_PORT": "70000",
                "MAESTRO_APP_ORIGINS": "a,b",
            },
            secrets={"api_tokn": "s3cret", "ca.crt": "not a setting's name"},
            overrides={"servers": {"git": {"tokne": "s3cret"}}},
        )

    text = "\n".join(problems(error))
    for expected in (
        "prot: there is no such setting; did you mean port? [file ",
        "database.pool: there is no such setting; did you mean database.pool_size? [file ",
        "pool_size: there is no such setting; did you mean database.pool_size? [file ",
        "there is no such setting; did you mean MAESTRO_APP_HOST? [environment MAESTRO_APP_HOTS]",
        "there is no such setting; did you mean MAESTRO_APP_PORT? [environment maestro_app_port]",
        "did you mean MAESTRO_APP_DATABASE__PASSWORD? [environment MAESTRO_APP_DATABASE__PASSWROD]",
        "there is no such setting; did you mean MAESTRO_APP_PORT? [environment MAESTRO_APP_PORT__X]",
        "[environment MAESTRO_APP_]",
        'origins: it must be JSON, such as ["a", "b"] or {"a": 1}: line 1, column 1: Expecting value [environment ',
        "there is no such setting; did you mean api_token? [secrets file ",
        "servers.git.tokne: there is no such setting; did you mean servers.git.token? [override servers.git.tokne]",
        "port: Input should be less than or equal to 65535 [environment MAESTRO_APP_PORT]",
        "database.pool_size: Input should be a valid integer, unable to parse string as an integer [file ",
        "servers.git.address: it is required; set MAESTRO_APP_SERVERS__GIT__ADDRESS, or servers.git.address in ",
    ):
        assert expected in text
    assert len(error.value.problems) == 14
    assert str(error.value).startswith("14 problems in AppSettings\n  ")
    assert "s3cret" not in str(error.value)
    assert (error.value.code, error.value.retryable) == ("config.invalid-settings", False)


def test_what_could_not_be_read_is_not_called_missing_too() -> None:
    """A required setting whose file or variable is broken is one problem, not two."""

    class Program(Settings, env_prefix="MAESTRO_PROGRAM_"):
        names: tuple[str, ...]
        other: int

    with pytest.raises(InvalidSettings) as error:
        settings_from(Program, environment={"MAESTRO_PROGRAM_NAMES": "a,b"})
    assert [problem.setting for problem in error.value.problems] == ["names", "other"]

    with pytest.raises(InvalidSettings) as error:
        load_settings(Program, file="absent.toml", environment={})
    assert problems(error) == ["absent.toml: there is no such file"]


def test_other_programs_variables_are_left_alone() -> None:
    """Folder variables, declared longer prefixes, and what Kubernetes adds for a Service are not ours to report."""

    class Platform(Settings, env_prefix="MAESTRO_"):
        foreign_environment = ("MAESTRO_ENGINE_",)
        port: int = 1

    environment = {
        "MAESTRO_DATA_DIR": "/data",
        "MAESTRO_ENGINE_ANYTHING": "1",
        "MAESTRO_HIVE_SERVICE_HOST": "10.0.0.1",
        "MAESTRO_HIVE_SERVICE_PORT": "80",
        "MAESTRO_HIVE_SERVICE_PORT_HTTP": "80",
        "MAESTRO_HIVE_PORT": "tcp://10.0.0.1:80",
        "MAESTRO_HIVE_PORT_80_TCP_ADDR": "10.0.0.1",
    }
    assert settings_from(Platform, environment=environment).port == 1

    with pytest.raises(InvalidSettings, match=r"\[environment MAESTRO_DB_PORT\]"):
        settings_from(Platform, environment={"MAESTRO_DB_PORT": "5432"})
    with pytest.raises(InvalidSettings, match="enableServiceLinks"):
        settings_from(Platform, environment={"MAESTRO_PORT": "tcp://10.0.0.1:80"})
