"""`maestro up`: starts the service by its name, for nothing may import a service."""

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path

from maestro_cli._errors import EngineMissing

_SERVICE = "maestro_engine"


def up(*, host: str | None, port: int | None, data_dir: Path | None) -> int:
    """Run the engine until it is stopped; returns its exit status. Raises EngineMissing."""
    arguments: list[str] = []
    for name, value in (("--host", host), ("--port", port), ("--data-dir", data_dir)):
        if value is not None:
            arguments += [name, str(value)]
    return _service_main()(arguments)


def _service_main() -> Callable[[Sequence[str]], int]:
    try:
        module = importlib.import_module(f"{_SERVICE}.command")
    except ModuleNotFoundError as error:
        if error.name not in (_SERVICE, f"{_SERVICE}.command"):
            raise
        raise EngineMissing(
            "the engine is not installed; install the wheel maestro-engine beside maestro-cli."
        ) from error
    main: Callable[[Sequence[str]], int] = module.main
    return main
