"""Every wheel is released for real: published to a devpi index, installed from it by itself, and run."""

import json
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uv
from journeys.nested import ROOT, Ran, Repository, outside_environment, run

from kit.readme import readme_program
from kit.servers import free_port, serving

WHEELS = sorted(build.parent for build in ROOT.glob("src/python/*/*/BUILD"))
OURS = {folder.name.replace("_", "-") for folder in WHEELS}

# Run by the Python of a wheel's own environment: what it finds of the distribution, after it has come in by the door.
PROBE = """
import importlib, importlib.metadata, importlib.resources, json, sys
distribution, package = importlib.metadata.distribution(sys.argv[1]), importlib.import_module(sys.argv[2])
print(json.dumps({
    "file": package.__file__,
    "exports": [hasattr(package, name) for name in getattr(package, "__all__", [])],
    "typed": importlib.resources.files(package).joinpath("py.typed").is_file(),
    "name": distribution.metadata["Name"],
    "version": distribution.version,
    "readme": distribution.metadata.get_payload(),
    "requires": distribution.requires or [],
    "scripts": sorted(point.name for point in distribution.entry_points if point.group == "console_scripts"),
    "extras": distribution.metadata.get_all("Provides-Extra", []),
    "doors": sorted(file.name.removesuffix(".py") for file in importlib.resources.files(package).iterdir()),
}))
"""


@dataclass(frozen=True, slots=True)
class Index:
    """A devpi index: where it takes uploads, where it is read, and what publishing to it needs in the environment."""

    url: str
    password: str = field(repr=False)

    @property
    def simple(self) -> str:
        return f"{self.url}+simple/"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "MAESTRO_INDEX_URL": self.simple,
            "TWINE_REPOSITORY_URL_MAESTRO": self.url,
            "TWINE_USERNAME_MAESTRO": "maestro",
            "TWINE_PASSWORD_MAESTRO": self.password,
        }


@pytest.fixture(scope="module")
def index(room: Path) -> Iterator[Index]:
    """The index maestro/prod of a new devpi server, above its mirror of the public index (docs/guides/releasing.md)."""
    folder, port = room / "devpi", free_port()
    folder.mkdir()
    root_password, password = secrets.token_urlsafe(), secrets.token_urlsafe()

    def command(script: str, *arguments: str) -> tuple[list[str | Path], dict[str, str]]:
        pex = ROOT / "tests.journeys/devpi.pex/__main__.py"
        return [sys.executable, pex, *arguments], {**outside_environment(), "PEX_SCRIPT": script}

    def done(script: str, *arguments: str) -> None:
        words, env = command(script, *arguments)
        ran = run(words, cwd=folder, env=env, timeout_s=120)
        assert ran.code == 0, ran.text

    def client(*arguments: str) -> None:
        done("devpi", *arguments, "--clientdir=client")

    done("devpi-init", "--serverdir=data", f"--root-passwd={root_password}")
    server, env = command("devpi-server", "--serverdir=data", "--host=127.0.0.1", f"--port={port}")
    with serving(server, port=port, cwd=folder, env=env):
        client("use", f"http://127.0.0.1:{port}")
        client("login", "root", f"--password={root_password}")
        client("user", "--create", "maestro", f"password={password}")
        client("login", "maestro", f"--password={password}")
        client("index", "--create", "prod", "bases=root/pypi", "volatile=False", "acl_toxresult_upload=maestro")
        yield Index(f"http://127.0.0.1:{port}/maestro/prod/", password)


@pytest.fixture(scope="module")
def published(repository: Repository, index: Index) -> Ran:
    """What publishing every wheel said."""
    ran = repository.run("build-support/bin/publish", "--all", timeout_s=400, env=index.environment)
    assert ran.code == 0, ran.text
    return ran


def test_every_wheel_is_published(published: Ran) -> None:
    """Each of them, with the version of its VERSION file."""
    for folder in WHEELS:
        assert f"✓ {folder.name}-{version_of(folder)}-py3-none-any.whl published to @maestro." in published.text


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize("folder", WHEELS, ids=lambda folder: folder.name)
def test_a_wheel_installs_alone_and_does_what_its_readme_says(folder: Path, index: Index, room: Path) -> None:
    """From the index alone, into an empty environment: door, types, metadata, commands, README as uploaded."""
    env, home = outside_environment(), room / "environments" / folder.name
    # No other index, whatever uv is told outside; one cache for all the environments.
    uv_env = {word: value for word, value in env.items() if not word.startswith("UV_")}
    uv_env |= {"UV_CACHE_DIR": str(room / "uv"), "UV_NO_CONFIG": "1", "UV_DEFAULT_INDEX": index.simple}
    name = folder.name.replace("_", "-")
    commands: list[list[str | Path]] = [
        ["venv", "--quiet", "--python", sys.executable, home],
        ["pip", "install", "--quiet", "--python", home, name],
    ]
    for command in commands:
        ran = run([uv.find_uv_bin(), *command], cwd=room, env=uv_env, timeout_s=300)
        assert ran.code == 0, ran.text

    empty = room / "empty" / folder.name
    empty.mkdir(parents=True)
    env["PATH"] = f"{home / 'bin'}:{env['PATH']}"
    python = home / "bin/python"
    found = probe(python, name, folder.name, cwd=empty, env=env)
    assert Path(found["file"]).is_relative_to(home)
    assert all(found["exports"])
    assert found["typed"]
    assert (found["name"], found["version"]) == (name, version_of(folder))
    assert found["readme"].strip() == (folder / "README.md").read_text(encoding="utf-8").strip()
    assert [requirement for requirement in found["requires"] if not leaves_a_choice(requirement)] == []
    for script in found["scripts"]:
        ran = run([home / "bin" / script, "--help"], cwd=empty, env=env, timeout_s=60)
        assert ran.code == 0, ran.text

    program = readme_program(found["readme"])
    assert program.strip(), "the README has no Python block"
    (empty / "readme_blocks.py").write_text(program, encoding="utf-8")
    ran = run([python, "readme_blocks.py"], cwd=empty, env=env, timeout_s=120)
    assert ran.code == 0, ran.text

    doors = [extra for extra in found["extras"] if extra in found["doors"]]
    for extra in doors:
        ran = run([python, "-c", f"import {folder.name}.{extra}"], cwd=empty, env=env, timeout_s=60)
        assert f"{name}[{extra}]" in ran.text, "the bare wheel does not name the extra"
    for extra in found["extras"]:
        ran = run([uv.find_uv_bin(), *commands[1][:-1], f"{name}[{extra}]"], cwd=room, env=uv_env, timeout_s=300)
        assert ran.code == 0, ran.text
    for extra in doors:
        ran = run([python, "-c", f"import {folder.name}.{extra}"], cwd=empty, env=env, timeout_s=60)
        assert ran.code == 0, ran.text


@pytest.mark.usefixtures("published")
def test_a_version_is_published_once(repository: Repository, index: Index) -> None:
    """The second time it is refused before anything is uploaded, with what to do; `--only-new` leaves it out."""
    name, path = "maestro-resilience", "src/python/libraries/maestro_resilience"
    ran = repository.run("build-support/bin/publish", name, timeout_s=60, env=index.environment)
    version = version_of(ROOT / path)
    assert ran.code == 1
    assert (
        f"{name} {version} is on the index already, and a published version never changes: raise {path}/VERSION"
        in ran.text
    )
    assert "nothing was published" in ran.text

    ran = repository.run("build-support/bin/publish", "--all", "--only-new", timeout_s=60, env=index.environment)
    assert ran.code == 0, ran.text
    assert ran.text.count("is on the index already, left out") == len(WHEELS)


@pytest.mark.usefixtures("published")
def test_the_index_itself_refuses_a_version_that_has_changed(repository: Repository, index: Index) -> None:
    """Whoever goes past our check, with `./pants publish` itself, is stopped by the index."""
    path = "src/python/libraries/maestro_resilience"
    with (repository.root / path / "README.md").open("a", encoding="utf-8") as readme:
        readme.write("\nOne line more.\n")
    ran = repository.pants("publish", f"{path}:dist", timeout_s=200, env=index.environment)
    assert ran.code == 1
    assert "409 Conflict" in ran.text
    assert "failed for @maestro" in ran.text


def version_of(folder: Path) -> str:
    return (folder / "VERSION").read_text(encoding="utf-8").strip()


def probe(python: Path, name: str, package: str, *, cwd: Path, env: dict[str, str]) -> dict[str, Any]:
    """What an environment's Python finds of a distribution."""
    done = subprocess.run(
        [python, "-W", "error", "-c", PROBE, name, package],
        cwd=cwd,
        env=env,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def leaves_a_choice(requirement: str) -> bool:
    """Whether a requirement is a range: of ours the compatible one, of others anything but `==`."""
    wanted = requirement.partition(";")[0]
    name = wanted.split("~")[0].split("=")[0].split("<")[0].split(">")[0].split("[")[0].strip()
    return "~=" in wanted if name in OURS else "==" not in wanted and any(sign in wanted for sign in (">", "~="))
