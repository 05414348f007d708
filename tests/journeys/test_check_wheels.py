"""`build-support/bin/check-wheels` passes a wheel that is as it should be, and names what is wrong with another."""

import base64
import hashlib
import shutil
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from journeys.nested import Ran, Repository

SOURCE = "src/python/libraries/maestro_sample"
WHEEL = "maestro_sample-1.2.0-py3-none-any.whl"
INFO = "maestro_sample-1.2.0.dist-info"
README = "# maestro-sample\n\nSays `\\n` and ends.\n"

METADATA = """\
Metadata-Version: 2.4
Name: maestro-sample
Version: 1.2.0
Summary: A sample.
Author: The Maestro authors
License: Apache-2.0
Requires-Python: >=3.11
Description-Content-Type: text/markdown
Requires-Dist: maestro-other~=0.3.0
Requires-Dist: pydantic[email]<3,>=2.14
Requires-Dist: pytest>=9; extra == "dev"
"""
FILES: Mapping[str, str] = {
    "maestro_sample/__init__.py": '"""A sample."""\n',
    "maestro_sample/_main.py": "def main() -> None: ...\n",
    "maestro_sample/py.typed": "",
    f"{INFO}/METADATA": f"{METADATA}\n{README}",
    f"{INFO}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    f"{INFO}/entry_points.txt": "[console_scripts]\nmaestro-Sample = maestro_sample._main:main\n",
}


@pytest.fixture(autouse=True, scope="module")
def sources(repository: Repository) -> None:
    """The folder that the wheel is made of, and the one of another wheel that it requires."""
    shutil.rmtree(repository.root / "src", ignore_errors=True)  # there only when pytest is run without Pants
    for name in ("__init__.py", "_main.py", "py.typed"):
        repository.write(f"{SOURCE}/{name}", FILES[f"maestro_sample/{name}"])
    repository.write(f"{SOURCE}/BUILD", "")
    repository.write(f"{SOURCE}/VERSION", "1.2.0\n")
    repository.write(f"{SOURCE}/README.md", README)


def check(repository: Repository, dist: Path, files: Mapping[str, str | None], *, name: str = WHEEL) -> Ran:
    """Check a folder that holds one wheel, and a sound one of the wheel it requires."""
    written = {file: text for file, text in files.items() if text is not None}
    dist.mkdir()
    with zipfile.ZipFile(dist / name, "w") as wheel:
        for file, text in written.items():
            wheel.writestr(file, text)
        if f"{INFO}/RECORD" not in files:
            wheel.writestr(f"{INFO}/RECORD", record(written))
    return repository.run("build-support/bin/check-wheels", dist, timeout_s=30)


def record(files: Mapping[str, str]) -> str:
    lines = [f"{file},sha256={digest(text)},{len(text.encode())}\n" for file, text in files.items()]
    return "".join(lines) + f"{INFO}/RECORD,,\n"


def digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def metadata(sound: str, wrong: str) -> dict[str, str | None]:
    assert sound in METADATA
    return {f"{INFO}/METADATA": f"{METADATA.replace(sound, wrong)}\n{README}"}


def test_a_sound_wheel_is_passed(repository: Repository, tmp_path: Path) -> None:
    ran = check(repository, tmp_path / "dist", FILES)
    assert (ran.code, ran.text) == (0, "check-wheels: 1 wheels, 0 offences\n")


@pytest.mark.parametrize(
    ("changes", "offence"),
    [
        ({"maestro_sample/py.typed": None}, "maestro_sample/py.typed is missing"),
        ({"maestro_sample/_main.py": None, f"{INFO}/entry_points.txt": None}, "maestro_sample/_main.py is missing"),
        ({"maestro_sample/tests/x.py": ""}, "maestro_sample/tests/x.py is not for users"),
        ({"maestro_sample/test_main.py": ""}, "maestro_sample/test_main.py is not for users"),
        ({"maestro_sample/BUILD": ""}, "maestro_sample/BUILD is not for users"),
        ({"other/__init__.py": ""}, "other/__init__.py lies outside maestro_sample/"),
        ({f"{INFO}/RECORD": ""}, "py.typed is in only one of the wheel and its RECORD"),
        ({f"{INFO}/RECORD": record({**FILES, "maestro_sample/py.typed": "x"})}, "py.typed is not what its RECORD says"),
        ({f"{INFO}/METADATA": None}, f"{INFO} lacks METADATA"),
        (metadata("Name: maestro-sample", "Name: sample"), "Name is 'sample', expected 'maestro-sample'"),
        (metadata("Version: 1.2.0\n", "Version: 1.2.1\n"), "Version is '1.2.1', expected '1.2.0'"),
        (metadata("Summary: A sample.\n", ""), "Summary is empty"),
        (metadata("License: Apache-2.0\n", ""), "it names no licence"),
        (metadata("text/markdown", "text/x-rst"), "Description-Content-Type is 'text/x-rst'"),
        ({f"{INFO}/METADATA": f"{METADATA}\n{README}More."}, "its description is not its README.md"),
        (metadata("pydantic[email]<3,>=2.14", "pydantic==2.14.3"), "it requires pydantic as '==2.14.3'"),
        (metadata("pydantic[email]<3,>=2.14", "pydantic<3"), "it requires pydantic with no lower bound"),
        (metadata("pydantic[email]<3,>=2.14", "pydantic @ file:///x.whl"), "is not a name and a range"),
        (
            metadata("maestro-other~=0.3.0", "maestro.other==0.3.0"),
            "it requires our maestro.other as '==0.3.0', expected",
        ),
        ({f"{INFO}/entry_points.txt": "[console_scripts]\nx = gone:main\n"}, "names the module gone, which is not in"),
        (
            {f"{INFO}/entry_points.txt": "[console_scripts]\nx = maestro_sample:main\n"},
            "names main, which maestro_sample",
        ),
    ],
)
def test_what_is_wrong_is_named(
    repository: Repository, tmp_path: Path, changes: Mapping[str, str | None], offence: str
) -> None:
    """One thing is wrong, and the check fails on it."""
    repository.write("src/python/libraries/maestro_other/VERSION", "0.3.0\n")
    repository.write("src/python/libraries/maestro_other/BUILD", "")
    ran = check(repository, tmp_path / "dist", {**FILES, **changes})
    assert ran.code == 1
    assert f"{WHEEL}: " in ran.text
    assert offence in ran.text


def test_a_wheel_that_is_missing_and_one_too_many_are_named(repository: Repository, tmp_path: Path) -> None:
    ran = check(repository, tmp_path / "dist", FILES, name="maestro_sample-1.1.0-py3-none-any.whl")
    assert ran.code == 1
    assert f"{WHEEL} is missing; run `./pants package ::`" in ran.text
    assert "maestro_sample-1.1.0-py3-none-any.whl: no wheel of this repository has this name and version" in ran.text
