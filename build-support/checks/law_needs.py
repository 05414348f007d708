"""Law: `needs` in the BUILD of a wheel is exactly what the wheel imports of ours."""

from pathlib import Path

from repository import at, imported_wheels, wheels


def offences(root: Path) -> list[str]:
    """Wheels imported and not named, named and not imported, or named twice; imports below TYPE_CHECKING count."""
    found = []
    for wheel in wheels(root):
        build = at(root, wheel.build, wheel.line)
        imported = imported_wheels(root, wheel)
        for name in sorted(imported.keys() - set(wheel.needs)):
            found.append(f"{imported[name]}: imports {name}, which is not in `needs` of {build}; name it there")
        for name in sorted(set(wheel.needs) - imported.keys()):
            found.append(f"{build}: `needs` names {name}, which the wheel does not import; take it out")
        for name in sorted({name for name in wheel.needs if wheel.needs.count(name) > 1}):
            found.append(f"{build}: `needs` names {name} twice; once is enough")
    return found
