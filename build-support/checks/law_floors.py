"""Law: imports go down the floors only, no wheels import each other in a circle, and nothing imports a service."""

from graphlib import CycleError, TopologicalSorter
from pathlib import Path

from repository import Wheel, at, imported_wheels, wheels

# The floors of the libraries, from the ground up (docs/decisions: floors). Services stand above all of them.
FLOORS: tuple[tuple[str, ...], ...] = (
    (
        "maestro_audit_logger",
        "maestro_core_config",
        "maestro_core_logging",
        "maestro_resilience",
        "maestro_test_result_aggregator",
        "maestro_yaml_config_parser",
    ),
    (
        "maestro_cache",
        "maestro_core_auth",
        "maestro_core_db",
        "maestro_core_messaging",
        "maestro_monitoring",
        "maestro_service_registry",
    ),
    ("maestro_core_api", "maestro_test_adapters", "maestro_tools", "maestro_workflow_engine"),
    ("claude_team_sdk", "maestro_cli", "maestro_orchestration_core"),
)
_FLOOR_OF = {name: number for number, names in enumerate(FLOORS) for name in names}
_SERVICES = len(FLOORS)


def offences(root: Path) -> list[str]:
    """Wheels without a floor, ways up or sideways, circles, imported services, rooms of a service on no floor."""
    all_wheels = wheels(root)
    floor_of = _FLOOR_OF | {wheel.import_name: _SERVICES for wheel in all_wheels if wheel.kind == "services"}
    there = {wheel.import_name for wheel in all_wheels}
    found, graph = [], {}
    for wheel in all_wheels:
        build = at(root, wheel.build, wheel.line)
        floor = floor_of.get(wheel.import_name)
        if floor is None:
            found.append(f"{build}: {wheel.import_name} has no floor; give it one in FLOORS of law_floors.py")
        known = dict.fromkeys(wheel.needs, build) | imported_wheels(root, wheel)
        graph[wheel.import_name] = known.keys()
        for name, place in sorted(known.items()):
            if name not in there:
                found.append(f"{place}: knows {name}, and there is no such wheel below src/python")
            elif floor_of.get(name) == _SERVICES:
                found.append(f"{place}: knows the service {name}; services meet over HTTP, sockets and streams only")
            elif floor is not None and name in floor_of and floor_of[name] >= floor:
                found.append(
                    f"{place}: {wheel.import_name} (floor {floor}) knows {name} (floor {floor_of[name]}); "
                    "imports go strictly down: move what both need to a lower room"
                )
        found += _loose_rooms(root, wheel)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        circle = " imports ".join(reversed(error.args[1]))
        found.append(f"src/python: {circle}; cut this circle where it goes up")
    return found


def _loose_rooms(root: Path, wheel: Wheel) -> list[str]:
    """Rooms of a service that `floors` forgets are in nobody's order; those that it invents guard nothing."""
    if wheel.macro != "service":
        return []
    build = at(root, wheel.build, wheel.line)
    declared = {room for floor in wheel.floors for room in floor}
    rooms = {path.parent.name for path in wheel.folder.glob("*/__init__.py")}
    return [
        *(f"{build}: the room {room}/ is on none of its `floors`; put it there" for room in sorted(rooms - declared)),
        *(f"{build}: `floors` names {room}, and there is no such room" for room in sorted(declared - rooms)),
    ]
