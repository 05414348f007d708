"""`maestro api contract`: writes the OpenAPI document of a service."""

import os
import sys
from pathlib import Path

from maestro_cli._errors import BadUsage


def contract(app: str, output: Path | None) -> int:
    """Write the contract of `module:factory` to a file or to standard output; raises BadUsage."""
    # FastAPI is loaded for those who ask for it.
    from maestro_core_api import ApiError, export_contract

    # The module of a person's own service lies in the folder that the command is given in, as for `python -m`.
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        text = export_contract(app, output)
    except ApiError as error:
        raise BadUsage(str(error)) from error
    except OSError as error:
        raise BadUsage(f"the contract cannot be written: {error}") from error
    if output is None:
        sys.stdout.write(text)
    return 0
