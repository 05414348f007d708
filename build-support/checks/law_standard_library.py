"""Law: some wheels stand on the standard library alone, so that anyone can take them anywhere."""

import sys
from pathlib import Path

from repository import Wheel, at, imports, python_files, wheels

STANDARD_LIBRARY_ONLY = {
    "maestro_audit_logger",
    "maestro_orchestration_core",
    "maestro_resilience",
    "maestro_service_registry",
    "maestro_test_result_aggregator",
    "maestro_workflow_engine",
}


def offences(root: Path) -> list[str]:
    """Imports of anything that is neither Python's own, nor the wheel's own, nor one of these wheels.

    An extra may bring more: its distributions are imported in its door and in the files beside it (`_signing_keys.py`).
    """
    found = []
    allowed = STANDARD_LIBRARY_ONLY | sys.stdlib_module_names
    for wheel in wheels(root):
        if wheel.import_name not in STANDARD_LIBRARY_ONLY:
            continue
        for path in python_files(wheel.folder):
            brought = _brought_by_extras(wheel, path)
            for imported in imports(path):
                if imported.top and imported.top not in allowed | brought:
                    found.append(
                        f"{at(root, path, imported.line)}: imports {imported.top}; this wheel stands on the standard "
                        "library alone: do without, or move this part to a wheel above"
                    )
    return found


def _brought_by_extras(wheel: Wheel, path: Path) -> set[str]:
    inside = path.relative_to(wheel.folder).parts[0]
    return {
        name.replace("-", "_")
        for extra, names in wheel.extras.items()
        if inside == f"{extra}.py" or inside.startswith(f"_{extra}")
        for name in names
    }
