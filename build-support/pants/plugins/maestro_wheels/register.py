"""Gives each wheel its version, README and metadata, so that a BUILD need not repeat them."""

from __future__ import annotations

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
            [f"{folder}/VERSION", f"{folder}/README.md"],
            glob_match_error_behavior=GlobMatchErrorBehavior.error,
            description_of_origin=f"the wheel {request.target.address}, whose folder holds a VERSION and a README.md",
        ),
    )
    text = {file.path.rsplit("/", 1)[-1]: file.content.decode() for file in files}
    given = request.explicit_kwargs
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


def rules():
    return (*collect_rules(), UnionRule(SetupKwargsRequest, MaestroSetupKwargsRequest))
