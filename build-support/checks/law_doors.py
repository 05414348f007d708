"""Law: a library is entered by its doors; every other file of it starts with an underscore."""

from pathlib import Path

from repository import Wheel, at, imports, is_ours, python_files, wheels


def offences(root: Path) -> list[str]:
    """Files that look like doors and are none, imports past a door, and relative imports."""
    all_wheels = wheels(root)
    found = [offence for wheel in all_wheels if wheel.kind == "libraries" for offence in _false_doors(root, wheel)]
    for wheel in all_wheels:
        for path in python_files(wheel.folder):
            found += _past_a_door(root, path, own=wheel.import_name)
            found += _relative(root, path)
    # The benchmarks may look inside, as they measure what no user of a wheel touches.
    for folder in ("tests", "examples", "build-support"):
        for path in python_files(root / folder):
            # tests/libraries/maestro_x/… are the wheel's own tests: they may look behind its door.
            parts = path.relative_to(root / folder).parts
            found += _past_a_door(root, path, own=parts[1] if parts[0] in ("libraries", "services") else "")
    return found


def _false_doors(root: Path, wheel: Wheel) -> list[str]:
    found = []
    for path in python_files(wheel.folder):
        inside = path.relative_to(wheel.folder)
        # The `__init__.py` of a folder is as private as the folder.
        name = path.parent.name if path.name == "__init__.py" and len(inside.parts) > 1 else path.name
        if not name.startswith("_") and inside.as_posix() not in wheel.doors:
            found.append(f"{at(root, path)}: is not a door; call it _{name}, or name it in `doors` of the BUILD")
    return found


def _past_a_door(root: Path, path: Path, own: str) -> list[str]:
    found = []
    for imported in imports(path):
        if imported.top == own or not is_ours(imported.top):
            continue
        steps = [*imported.module.split(".")[1:], *imported.names]
        private = next((step for step in steps if step.startswith("_") and not step.startswith("__")), None)
        if private:
            found.append(
                f"{at(root, path, imported.line)}: reaches {private} behind the door of {imported.top}; "
                f"import from {imported.top} itself, or ask it to offer what you need"
            )
    return found


def _relative(root: Path, path: Path) -> list[str]:
    return [
        f"{at(root, path, imported.line)}: a relative import; write the whole name, which says where it leads"
        for imported in imports(path)
        if imported.module.startswith(".")
    ]
