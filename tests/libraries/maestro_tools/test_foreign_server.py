"""A server that nobody here wrote: the reference server for git, started through uv, over a real repository."""

import subprocess
import sys
from pathlib import Path

import pytest
import uv

from maestro_tools import ToolCatalogue, ToolFailed

# What uv needs to reach the index, and what it keeps, on machines behind a proxy or with certificates of their own.
PASS_ENV = [
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "UV_CACHE_DIR",
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "XDG_CACHE_HOME",
]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with two commits."""

    def git(*arguments: str) -> None:
        author = ["-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *author, *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init", "--initial-branch", "main")
    for message in ("lay the first stone", "raise the roof"):
        (tmp_path / "house.txt").write_text(message)
        git("add", "house.txt")
        git("commit", "--message", message)
    return tmp_path


async def test_reference_server_answers_about_a_repository(repository: Path) -> None:
    """Its tools are listed, called, and fail as tools do."""
    command = [uv.find_uv_bin(), "tool", "run", "--python", sys.executable, "mcp-server-git==2026.10.19"]
    source = {"mcp": {"command": [*command, "--repository", "."], "pass_env": PASS_ENV, "startup_timeout_s": 50}}
    async with ToolCatalogue({"git": source}, repository) as tools:
        names = {tool.name for tool in await tools.list_tools()}
        assert {"git_log", "git_status", "git_show"} <= names
        log = await tools.call("git", "git_log", {"repo_path": str(repository), "max_count": 10})
        assert "raise the roof" in str(log.value)
        assert "lay the first stone" in str(log.value)
        with pytest.raises(ToolFailed):
            await tools.call("git", "git_show", {"repo_path": str(repository), "revision": "no-such-revision"})
