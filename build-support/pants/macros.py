"""The shapes of BUILD files: `library`, `service`, `tests_of`. One folder = one wheel = one noun (docs/decisions/0004-floors.md)."""

_LIBRARIES = "//src/python/libraries"
_OUTSIDE = "//3rdparty/python/**"
# Where a wheel may be looked into beyond its doors: by its own tests, by the benchmarks, and by the root (the tree, the CLI binary).
_FRIENDS = ("//tests/**", "//benchmarks/**", "//BUILD", "/**", "//:*")


def _refuse(pattern):
    """A rule that refuses; build-support/bin/visibility has it warn instead, so as to list all breaks in one run."""
    return ("?" if env("MAESTRO_LIST_BREAKS") else "!") + pattern


# What a test that installs packages needs of the person outside: a home with the settings of pip and uv, certificates, proxies.
# For `env=` of tests_of and `extra_env_vars` of python_tests.
OUTSIDE = (
    "HOME",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "LANG",
    "MAESTRO_PANTS_HOME",
    "MAESTRO_PANTS_PYTHON",
    "NO_PROXY",
    "PATH",
    "PIP_CERT",
    "PIP_CONFIG_FILE",
    "PIP_DEFAULT_TIMEOUT",
    "PIP_EXTRA_INDEX_URL",
    "PIP_FIND_LINKS",
    "PIP_INDEX_URL",
    "PYENV_ROOT",
    "REQUESTS_CA_BUNDLE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "UV_CACHE_DIR",
    "UV_DEFAULT_INDEX",
    "UV_INDEX",
    "UV_INDEX_URL",
    "UV_OFFLINE",
    "XDG_CACHE_HOME",
    "https_proxy",
    "http_proxy",
    "no_proxy",
)


def _wheel(dist, description, loads, extras, data, entry_points):
    optional = sorted({name for names in extras.values() for name in names})
    resources(name="data", sources=["py.typed", *data])
    resources(name="readme", sources=["README.md"])
    loaded = [f"//3rdparty/python:default#{name}" for name in [*loads, *optional]]
    python_sources(name="src", sources=["**/*.py"], dependencies=[":data", *loaded])
    python_distribution(
        name="dist",
        # In the tree the extras are always there; the wheel asks for them only when its user does.
        dependencies=[":src", *[f"!!//3rdparty/python:default#{name}" for name in optional]],
        entry_points=entry_points,
        sdist=False,
        tags=["wheel"],
        repositories=["@maestro"],
        # The plugin maestro_wheels reads the version and the README from this folder, and the ranges of the extras.
        provides=python_artifact(name=dist, description=description, extras_require=extras),
    )


def library(
    dist,
    description,
    needs=(),
    loads=(),
    extras={},
    data=(),
    doors=("__init__.py", "testing.py"),
    entry_points={},
):
    """A library: imports what it `needs` and what 3rdparty/python grants it; others come in by its doors only.

    `loads` names third-party distributions that it has another load by name, so that no import shows them. `extras` maps
    the name of an extra to the distributions that it brings; its door is the file of that name (decision 0007).
    """
    _wheel(dist, description, loads, extras, data, entry_points)
    __dependencies_rules__(("*", "/**", [f"{_LIBRARIES}/{need}/**" for need in needs], _OUTSIDE, _refuse("*")))
    entered = [f"/{door}" for door in [*doors, *[f"{extra}.py" for extra in extras]]]
    __dependents_rules__((entered, "*"), ("*", _FRIENDS, _refuse("*")))


def service(dist, description, needs=(), loads=(), extras={}, data=(), floors=(), entry_points={}):
    """A service: nothing imports it. `floors` lists its rooms from the top; a room sees no sibling and nothing above it."""
    _wheel(dist, description, loads, extras, data, entry_points)
    outside = [[f"{_LIBRARIES}/{need}/**" for need in needs], _OUTSIDE, _refuse("*")]
    rules, above = [], [_refuse("/app.py"), _refuse("/__main__.py")]
    for floor in floors:
        for room in floor:
            siblings = [_refuse(f"/{other}/**") for other in floor if other != room]
            rules.append((f"/{room}/**", above, siblings, "/**", outside))
        above = above + [_refuse(f"/{room}/**") for room in floor]
    __dependencies_rules__(*rules, ("*", "/**", outside))
    __dependents_rules__(("*", _FRIENDS, _refuse("*")))


def tests_of(wheel, kind="libraries", kit=(), uses=(), env=()):
    """The tests of one wheel. `kit` names files beside the tests that are not tests; `uses` further targets they need."""
    if kit:
        python_test_utils(name="kit", sources=list(kit))
    python_tests(
        name="tests",
        sources=["test_*.py"],
        dependencies=[f"//src/python/{kind}/{wheel}:readme", f"//src/python/{kind}/{wheel}:src", *uses],
        extra_env_vars=list(env),
    )


def who_may_use(resolve, grants):
    """Says, for each distribution of a resolve, which wheels may import it; tests and benchmarks may import all of them."""
    others = ("//tests/**", "//benchmarks/**", "//build-support/**", "//:*", "/**", _refuse("*"))
    __dependents_rules__(
        *[
            (f"/{resolve}#{dist}", [f"//src/python/*/{name}/**" for name in wheels], others)
            for dist, wheels in grants.items()
        ],
        ("*", "*"),
    )
