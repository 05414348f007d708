"""The gate `build-support/bin/visibility` passes a sound house and names every import that breaks the floors."""

import shutil

import pytest
from journeys.nested import Ran, Repository

LIBRARIES, SERVICES = "src/python/libraries", "src/python/services"
LOWER, UPPER, DOOR = f"{LIBRARIES}/maestro_lower", f"{LIBRARIES}/maestro_upper", f"{SERVICES}/maestro_door"

SOUND = {
    f"{LOWER}/BUILD": 'library("maestro-lower", "A library that needs none.")\n',
    f"{LOWER}/__init__.py": "from maestro_lower._inside import INSIDE as INSIDE\n",
    f"{LOWER}/_inside.py": "INSIDE = 1\n",
    f"{UPPER}/BUILD": 'library("maestro-upper", "A library that needs the other.", needs=["maestro_lower"])\n',
    f"{UPPER}/__init__.py": "import maestro_lower as maestro_lower\n",
    f"{DOOR}/BUILD": 'service("maestro-door", "A.", needs=["maestro_upper"], floors=[["http", "feed"], ["work"]])\n',
    f"{DOOR}/__init__.py": "",
    f"{DOOR}/app.py": "from maestro_door.http import edge as edge\n",
    f"{DOOR}/http/__init__.py": "",
    f"{DOOR}/http/edge.py": "import maestro_upper\n\nfrom maestro_door.work import service\n",
    f"{DOOR}/feed/__init__.py": "",
    f"{DOOR}/feed/hub.py": "from maestro_door.work import service as service\n",
    f"{DOOR}/work/__init__.py": "",
    f"{DOOR}/work/service.py": "WORK = 1\n",
}
# Each import, and the file and the reason that the gate has to name.
BREAKS = {
    (f"{LOWER}/_service.py", "from maestro_door.work import service\n"): (
        f"{DOOR}/work/service.py",
        "nothing imports a service",
    ),
    (f"{LOWER}/_sibling.py", "import maestro_upper\n"): (
        f"{UPPER}/__init__.py",
        f"`needs` in {LOWER}/BUILD does not name maestro_upper",
    ),
    (f"{UPPER}/_private.py", "from maestro_lower._inside import INSIDE\n"): (
        f"{LOWER}/_inside.py",
        "it is private to its wheel: import what `maestro_lower` gives at its door",
    ),
    (f"{UPPER}/_third_party.py", "import yaml\n"): ("pyyaml", "3rdparty/python/BUILD does not grant it to this wheel"),
    (f"{DOOR}/http/sideways.py", "from maestro_door.feed import hub\n"): (
        f"{DOOR}/feed/hub.py",
        "a room of a service sees no sibling and nothing above it",
    ),
    (f"{DOOR}/work/upwards.py", "from maestro_door.http import edge\n"): (
        f"{DOOR}/http/edge.py",
        "a room of a service sees no sibling and nothing above it",
    ),
    (f"{DOOR}/work/to_the_roof.py", "from maestro_door import app\n"): (
        f"{DOOR}/app.py",
        "a room of a service sees no sibling and nothing above it",
    ),
}


def gate(repository: Repository) -> Ran:
    return repository.run("build-support/bin/visibility", timeout_s=120)


@pytest.fixture(autouse=True, scope="module")
def sound_house(repository: Repository) -> None:
    """The house with three small wheels in it, each import as it should be."""
    # The laws ask for the whole tree, which this journey does without.
    shutil.rmtree(repository.root / "build-support/checks")
    shutil.rmtree(repository.root / "src", ignore_errors=True)  # there only when pytest is run without Pants
    for path, text in SOUND.items():
        repository.write(path, text)
    for wheel in (LOWER, UPPER, DOOR):
        repository.write(f"{wheel}/VERSION", "0.1.0\n")
        repository.write(f"{wheel}/README.md", "# A wheel\n")
        repository.write(f"{wheel}/py.typed", "")


def test_the_gate_passes_what_is_sound_and_names_what_is_not(repository: Repository) -> None:
    """One house, first whole, then with each kind of forbidden import; both files are named, and what to do."""
    ran = gate(repository)
    assert (ran.code, ran.text.strip()) == (0, "visibility: every import keeps to the floors")

    for importer, text in BREAKS:
        repository.write(importer, text)
    ran = gate(repository)
    assert ran.code == 1
    for (importer, _), (imported, reason) in BREAKS.items():
        assert f"{importer}\n    imports {imported}\n    {reason}" in ran.text
    assert f"visibility: {len(BREAKS)} import(s) break the floors" in ran.text


def test_an_import_of_nothing_is_not_passed(repository: Repository) -> None:
    """What can't be resolved at all fails the gate as well, in the words of Pants."""
    for importer, _ in BREAKS:
        (repository.root / importer).unlink(missing_ok=True)
    repository.write(f"{UPPER}/_unknown.py", "import no_such_distribution\n")
    ran = gate(repository)
    assert ran.code == 1
    assert "no_such_distribution" in ran.text
