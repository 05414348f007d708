"""Links of OpenAPI: which operations go on with what an answer has made."""

from collections.abc import Mapping
from typing import Any


def linked(status: int, **operations: Mapping[str, str]) -> dict[int | str, dict[str, Any]]:
    """What FastAPI takes as `responses`: each operation with its parameters, as pointers into the body."""
    links = {
        name: {
            "operationId": name,
            "parameters": {parameter: f"$response.body#{pointer}" for parameter, pointer in parameters.items()},
        }
        for name, parameters in operations.items()
    }
    return {status: {"links": links}}
