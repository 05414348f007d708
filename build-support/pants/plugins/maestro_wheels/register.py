"""Gives each wheel its version, README and metadata, so that a BUILD need not repeat them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from pants.backend.python.util_rules.package_dists import SetupKwargs, SetupKwargsRequest
from pants.engine.fs import DigestContents, GlobMatchErrorBehavior, PathGlobs
from pants.engine.rules import Get, collect_rules, rule
from pants.engine.target import Target
from pants.engine.unions import UnionRule

METADATA = {
    "license": "Apache-2.0",
    "author": "The Maestro authors",
    # The interpreter constraint says where we build and test; the wheel itself asks for no upper bound.
    "python_requires": ">=3.11",
    "classifiers": [
        "Development Status :: 4 - Beta",
        "Operating System :: POSIX",
        "Programming Language :: Python :: 3.11",
        "Typing :: Typed",
    ],
}


RANGES = "3rdparty/python/default.txt"


class MaestroSetupKwargsRequest(SetupKwargsRequest):
    """Asks for the setup() arguments of any wheel of this repository."""

    @classmethod
    def is_applicable(cls, target: Target) -> bool:
        return target.address.spec_path.startswith("src/python/")


@rule
async def wheel_setup_kwargs(request: MaestroSetupKwargsRequest) -> SetupKwargs:
    """Adds VERSION, README.md and the common metadata of the wheel's own folder to what its BUILD says."""
    folder = request.target.address.spec_path
    files = await Get(
        DigestContents,
        PathGlobs(
            [f"{folder}/VERSION", f"{folder}/README.md", RANGES],
            glob_match_error_behavior=GlobMatchErrorBehavior.error,
            description_of_origin=f"the wheel {request.target.address}, whose folder holds a VERSION and a README.md",
        ),
    )
    text = {file.path.rsplit("/", 1)[-1]: file.content.decode() for file in files}
    given = {**request.explicit_kwargs}
    given["extras_require"] = extras_with_ranges(given.get("extras_require", {}), text["default.txt"])
    return SetupKwargs(
        {
            **METADATA,
            "version": text["VERSION"].strip(),
            # Pants 2.17 writes the text into a setup.py, between quotes, without escaping it (check-wheels would tell).
            "long_description": text["README.md"].replace("\\", r"\\"),
            "long_description_content_type": "text/markdown",
            **given,
        },
        address=request.target.address,
    )


def extras_with_ranges(extras: Mapping[str, Sequence[str]], listing: str) -> dict[str, list[str]]:
    """The extras of a wheel as its metadata asks for them: each name with the range that the list gives it."""
    asked = [line.partition("#")[0].strip() for line in listing.splitlines()]
    ranges = {re.split(r"[^A-Za-z0-9._-]", line)[0]: line for line in asked if line}
    return {extra: [ranges[name] for name in names] for extra, names in extras.items()}


def rules():
    return (*collect_rules(), UnionRule(SetupKwargsRequest, MaestroSetupKwargsRequest))
