"""For tests of programs that use settings: loads without the real environment, and proof that no secret is shown."""

import json
import pickle
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin

from maestro_core_config._docs import json_schema, markdown_table
from maestro_core_config._errors import InvalidSettings, SecretNotPickled
from maestro_core_config._explain import diff, explain
from maestro_core_config._load import load_settings
from maestro_core_config._secret import SecretText
from maestro_core_config._section import holds_secret, is_section
from maestro_core_config._settings import Settings
from maestro_core_config._shape import core_type, leaves, mapping_item

__all__ = ["assert_never_leaks", "settings_from"]

S = TypeVar("S", bound=Settings)

_SECRET_NAME = re.compile(r"(?:.*_)?(?:password|passwd|passphrase|secret|token|api_?key|private_key|credentials?)")


def settings_from(
    cls: type[S],
    *,
    file: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
    secrets: Mapping[str, str] | None = None,
    overrides: Mapping[str, object] | None = None,
) -> S:
    """Settings loaded as a program loads them, from these mappings alone; os.environ is not looked at.

    `file` is the content of a JSON file, `secrets` the files of a secrets folder by name.
    """
    with tempfile.TemporaryDirectory() as folder:
        path, mounted = Path(folder, "settings.json"), Path(folder, "secrets")
        path.write_text(json.dumps(file or {}), encoding="utf-8")
        mounted.mkdir()
        for name, text in (secrets or {}).items():
            (mounted / name).write_text(text, encoding="utf-8")
        return load_settings(cls, file=path, environment=environment or {}, secrets_dir=mounted, overrides=overrides)


def assert_never_leaks(
    cls: type[Settings],
    *,
    given: Mapping[str, Any] | None = None,
    secrets: Mapping[str, str] | None = None,
) -> None:
    """Prove that no rendering and no error of this settings class shows a secret; AssertionError says which does.

    `given` holds what the class requires besides its secrets. `secrets` holds values by dotted name for secrets that
    must have a certain form; all others get a value made up here.
    """
    for leaf in leaves(cls):
        named = _SECRET_NAME.fullmatch(leaf.name[-1])
        assert not (
            named and core_type(leaf.field.annotation) in (str, bytes)
        ), f"{'.'.join(leaf.name)} is named like a secret; write SecretText, or name it for what it is"
    values: dict[str, Any] = dict(given or {})
    canaries: dict[str, str] = {}
    for number, leaf in enumerate(leaf for leaf in leaves(cls) if leaf.secret):
        name = ".".join(leaf.name)
        canaries[name] = (secrets or {}).get(name, f"canary-{number}-8d1f0b6c")
        values = _with(values, leaf.name, _sample(leaf.field.annotation, canaries[name]))
    settings = settings_from(cls, overrides=values)
    for kind, text in _renderings(settings, settings_from(cls, overrides=values)):
        _assert_hidden(kind, text, canaries)
    for leaf in (leaf for leaf in leaves(cls) if leaf.secret):
        wrong = _with(values, leaf.name, [[canaries[".".join(leaf.name)]]])
        _assert_hidden("a validation error", _error_text(cls, wrong), canaries)
    _assert_hidden("an error about another setting", _error_text(cls, {**values, "no_such_setting": 1}), canaries)


def _renderings(settings: Settings, same: Settings) -> Iterator[tuple[str, str]]:
    cls = type(settings)
    yield "repr()", repr(settings)
    yield "str()", str(settings)
    yield "model_dump()", repr(settings.model_dump())
    yield "model_dump_json()", settings.model_dump_json()
    yield "explain()", explain(settings)
    yield "diff()", repr(diff(settings, same))
    yield "json_schema()", json.dumps(json_schema(cls))
    yield "markdown_table()", markdown_table(cls)
    try:
        yield "pickle", repr(pickle.dumps(settings))
    except SecretNotPickled as error:
        yield "the refusal to pickle", str(error)


def _error_text(cls: type[Settings], values: Mapping[str, Any]) -> str:
    try:
        settings_from(cls, overrides=values)
    except InvalidSettings as error:
        return f"{error} {error!r} {error.problems!r} {error.__cause__!r} {error.__context__!r}"
    return ""


def _assert_hidden(kind: str, text: str, canaries: Mapping[str, str]) -> None:
    for name, canary in canaries.items():
        assert canary not in text, f"{kind} shows the secret {name}"


def _with(values: Mapping[str, Any], name: tuple[str, ...], value: object) -> dict[str, Any]:
    """A copy of nested values with one more at a name."""
    for part in reversed(name):
        value = {part: value}
    joined: dict[str, Any] = _joined(values, value)
    return joined


def _joined(low: Any, high: Any) -> Any:
    if not isinstance(low, Mapping) or not isinstance(high, Mapping):
        return high
    return {**low, **{key: _joined(low.get(key), item) for key, item in high.items()}}


def _sample(annotation: Any, canary: str) -> Any:
    """A value of this type that holds the canary wherever a secret may stand."""
    core = core_type(annotation)
    if core is SecretText:
        return canary
    if is_section(core):
        secret_fields = {name: field for name, field in core.model_fields.items() if holds_secret(field.annotation)}
        return {name: _sample(field.annotation, canary) for name, field in secret_fields.items()}
    item = mapping_item(core)
    if item is not None:
        return {"item": _sample(item, canary)}
    assert get_origin(core) in (tuple, frozenset), f"no sample can be made of {core}; leave secrets out of unions"
    return [_sample(get_args(core)[0], canary)]
