"""Which offered contract serves which caller."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maestro_service_registry import InvalidRequest, Version, is_compatible, parse_version

NUMBERS = st.integers(0, 3)
VERSIONS = st.builds(Version, NUMBERS, NUMBERS, NUMBERS, st.sampled_from(["", "alpha", "alpha.1", "beta.2", "rc.10"]))


@given(VERSIONS)
def test_a_version_is_read_as_it_is_written(version: Version) -> None:
    assert parse_version(str(version)) == version


@given(VERSIONS)
def test_every_contract_serves_its_own_callers(version: Version) -> None:
    assert is_compatible(version, version)


@given(VERSIONS, VERSIONS, VERSIONS)
def test_what_serves_a_newer_caller_serves_those_in_between(offered: Version, wanted: Version, older: Version) -> None:
    """Compatibility is an interval of one line, apart from pre-releases, which serve only their own release."""
    if is_compatible(offered, wanted) and is_compatible(wanted, older) and not offered.pre:
        assert is_compatible(offered, older)


@given(VERSIONS, VERSIONS)
def test_versions_are_ordered(one: Version, other: Version) -> None:
    assert (one < other) + (one == other) + (other < one) == 1


@pytest.mark.parametrize(
    ("offered", "wanted", "fits"),
    [
        ("1.4.2", "1.4", True),
        ("1.4.2", "1.2.9", True),
        ("1.4.2", "1.5", False),
        ("2.0", "1.4", False),
        ("0.3.1", "0.3", True),
        ("0.4", "0.3", False),
        ("1.5.0-rc.1", "1.4", False),
        ("1.5.0-rc.2", "1.5.0-rc.1", True),
        ("1.5.0", "1.5.0-rc.10", True),
        ("1.5.0-rc.2", "1.5.0-rc.10", False),
    ],
)
def test_the_rules_by_example(offered: str, wanted: str, fits: bool) -> None:
    assert is_compatible(parse_version(offered), parse_version(wanted)) is fits


@pytest.mark.parametrize(
    "text", ["", "1", "v1.2", "1.2.3.4", "01.2", "1.-2", "1.2+b", "1.2 ", "1.2\n", "9" * 99, "١.٢"]
)
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="is no version"):
        parse_version(text)
