"""What the checks of the step kinds share."""

from collections.abc import Iterator, Mapping

from maestro_workflow_engine._problems import did_you_mean


def is_open(value: object) -> bool:
    """Whether a value holds an expression, so that only a run will tell what it is."""
    if isinstance(value, str):
        return "${{" in value
    if isinstance(value, dict):
        return any(is_open(inner) for inner in value.values())
    return isinstance(value, list) and any(is_open(inner) for inner in value)


def unknown_names(arguments: Mapping[str, object], known: set[str]) -> Iterator[tuple[str, str]]:
    """A problem for each argument that the kind does not know."""
    for name in arguments:
        if name not in known:
            yield f"/{name}", f"unknown argument {name[:64]!r}{did_you_mean(name, sorted(known))}"
