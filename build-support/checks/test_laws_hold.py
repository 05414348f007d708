"""The laws of this repository hold in it; `test_*_bite.py` show that each of them bites."""

import law_addresses
import law_ci
import law_documents
import law_doors
import law_errors
import law_exports
import law_files
import law_floors
import law_habits
import law_needs
import law_requirements
import law_standard_library
import law_wheel_folders
import pytest
from repository import ROOT, files, wheels


def assert_none(offences: list[str]) -> None:
    """Fail with one line for each offence, as `file:line: what is wrong; what to do`."""
    if offences:
        pytest.fail(f"{len(offences)} offence(s):\n" + "\n".join(offences), pytrace=False)


def test_the_laws_see_the_repository() -> None:
    """An empty sandbox would keep every law."""
    assert {wheel.kind for wheel in wheels(ROOT)} == {"libraries", "services"}
    assert {ROOT / "README.md", ROOT / "3rdparty/python/default.lock", ROOT / ".ci/run"} <= set(files(ROOT))


def test_needs_are_exactly_what_is_imported() -> None:
    assert_none(law_needs.offences(ROOT))


def test_imports_go_down_the_floors_without_a_circle_and_nothing_imports_a_service() -> None:
    assert_none(law_floors.offences(ROOT))


def test_the_folder_of_every_wheel_is_complete() -> None:
    assert_none(law_wheel_folders.offences(ROOT))


def test_all_of_every_door_is_sorted_and_true() -> None:
    assert_none(law_exports.offences(ROOT))


def test_a_library_is_entered_by_its_doors() -> None:
    assert_none(law_doors.offences(ROOT))


def test_files_are_short_and_named_after_something() -> None:
    assert_none(law_files.offences(ROOT))


def test_no_file_names_a_registry_host_or_a_place_of_one_machine() -> None:
    assert_none(law_addresses.offences(ROOT))


def test_requirements_are_ranges_granted_and_locked_with_hashes() -> None:
    assert_none(law_requirements.offences(ROOT))


def test_errors_are_drawn_and_have_a_code_each() -> None:
    assert_none(law_errors.offences(ROOT))


def test_tests_do_not_sleep_or_skip_and_no_error_is_swallowed() -> None:
    assert_none(law_habits.offences(ROOT))


def test_documents_lead_somewhere_and_say_what_ci_does() -> None:
    assert_none(law_documents.offences(ROOT))


def test_some_wheels_stand_on_the_standard_library_alone() -> None:
    assert_none(law_standard_library.offences(ROOT))


def test_ci_keeps_its_promises() -> None:
    assert_none(law_ci.offences(ROOT))
