"""What each wheel weighs: installed size and import time, bare and with each extra, alone in a new environment."""

import argparse
import email
import importlib.metadata
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import uv

_KIB = 1024


@dataclass(frozen=True, slots=True)
class Weight:
    """One installation: ours alone, with all it brought, how many distributions that is, and the time to import."""

    name: str
    own_bytes: int
    all_bytes: int
    distributions: int
    import_s: float


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dist", type=Path, default=Path("dist"), help="folder that `./pants package ::` wrote")
    parser.add_argument("--runs", type=int, default=7, help="fresh processes for each import time; the median counts")
    parser.add_argument("--only", action="append", default=[], metavar="WHEEL", help="may be given more than once")
    options = parser.parse_args()
    wheels = sorted(options.dist.resolve().glob("*.whl"))
    if not wheels:
        raise SystemExit(f"{options.dist} holds no wheel; run `./pants package ::` first")
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} cores, median of {options.runs} fresh processes\n")
    print("| wheel | ours, KiB | with all it needs, KiB | distributions | import, ms |\n|---|--:|--:|--:|--:|")
    for wheel in wheels:
        metadata = _metadata(wheel)
        name = metadata["Name"]
        if options.only and name not in options.only:
            continue
        for extra in ("", *metadata.get_all("Provides-Extra", [])):
            _print(_weigh(name, extra, wheels, options.runs))


def _print(weight: Weight) -> None:
    sizes = f"{weight.own_bytes / _KIB:,.0f} | {weight.all_bytes / _KIB:,.0f}"
    print(f"| {weight.name} | {sizes} | {weight.distributions} | {weight.import_s * 1000:.0f} |", flush=True)


def _metadata(wheel: Path) -> email.message.Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return email.message_from_bytes(archive.read(name))


def _weigh(name: str, extra: str, wheels: Sequence[Path], runs: int) -> Weight:
    """Install into a new environment and look at it; bytes are those of the wheels' files, without caches of Python."""
    asked = f"{name}[{extra}]" if extra else name
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "env"
        _uv("venv", "--quiet", "--python", sys.executable, home)
        # Ours come from these files, whatever an index has under their names; everything else from the index.
        ours = {_metadata(wheel)["Name"]: wheel.as_uri() for wheel in wheels}
        overrides = Path(folder) / "ours.txt"
        overrides.write_text("".join(f"{other} @ {uri}\n" for other, uri in ours.items() if other != name))
        _uv("pip", "install", "--quiet", "--python", home, "--overrides", overrides, f"{asked} @ {ours[name]}")
        site = next(home.glob("lib/python3*/site-packages"))
        sizes = dict(_sizes(site))
        # The first import writes Python's own caches, as every installation does once.
        modules = ["", *_modules(site, name, extra)]
        imports = {module: _median_s(home / "bin/python", module, runs) for module in modules}
        return Weight(
            name=asked,
            own_bytes=sizes[name],
            all_bytes=sum(sizes.values()),
            distributions=len(sizes),
            import_s=max(0.0, max(imports.values()) - imports[""]),
        )


def _modules(site: Path, name: str, extra: str) -> Iterator[str]:
    package = name.replace("-", "_")
    # A library is entered by its package, a service by its app.
    yield f"{package}.app" if (site / package / "app.py").is_file() else package
    if extra and (site / package / f"{extra}.py").is_file():
        yield f"{package}.{extra}"


def _sizes(site: Path) -> Iterator[tuple[str, int]]:
    for distribution in importlib.metadata.distributions(path=[str(site)]):
        # What an installer writes beside the wheel's own files (its name, a direct address) has no size on record.
        yield distribution.metadata["Name"].lower().replace("_", "-"), sum(
            file.size or 0 for file in distribution.files or ()
        )


def _median_s(python: Path, module: str, runs: int) -> float:
    """Seconds from the start of a process to its end, importing the module (nothing, for an empty name)."""
    command: list[str | Path] = [python, "-I", "-c", f"import {module}" if module else "pass"]
    _run(command)
    taken = []
    for _ in range(runs):
        began_s = time.perf_counter()
        _run(command)
        taken.append(time.perf_counter() - began_s)
    return statistics.median(taken)


def _uv(*words: str | Path) -> None:
    command: list[str | Path] = [uv.find_uv_bin(), *words]
    _run(command)


def _run(command: Sequence[str | Path]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")


if __name__ == "__main__":
    main()
