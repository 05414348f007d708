"""Reads what says how often, how many at once and after what a step runs."""

from maestro_workflow_engine._definition import UNITS, Join, LimitUse, MapOver, Repeat, RetryPolicy
from maestro_workflow_engine._expressions import Template, compile_all
from maestro_workflow_engine._json import JSON, json_kind
from maestro_workflow_engine._parse_values import MAX_AMOUNT, Values

MAX_ATTEMPTS = 1000
MAX_DELAY_S = 86_400.0
MAX_MULTIPLIER = 100.0
MAX_PARALLEL = 1_000
MAX_JOINED = 20_000
MAX_ITERATIONS = 10_000
MAX_LIMITS = 16
MAX_RATE = 1_000_000
MIN_RATE_PER_S = 0.001

RETRY_KEYS = ("max_attempts", "initial_delay_s", "multiplier", "max_delay_s", "jitter")
MAP_KEYS = ("items", "max_parallel")
JOIN_KEYS = ("count", "cancel_rest")
REPEAT_KEYS = ("until", "max_iterations", "delay_s")
LIMIT_KEYS = ("name", "max_parallel", "rate_count", "rate_per_s")

ONE_ATTEMPT = RetryPolicy()
_UNBOUNDED = LimitUse(Template(""))


def read_retry(values: Values, path: str, raw: JSON) -> RetryPolicy:
    """How often a step is tried: a number, or a mapping with delays."""
    if not isinstance(raw, dict):
        holder: dict[str, JSON] = {"retry": raw}
        attempts = values.integer(path.rpartition("/")[0], holder, "retry", MAX_ATTEMPTS, " or a mapping")
        return RetryPolicy(max_attempts=attempts or 1)
    values.report.check_keys(path, raw, RETRY_KEYS, "retry")
    initial_delay_s = values.number(path, raw, "initial_delay_s", 0.0, MAX_DELAY_S, ONE_ATTEMPT.initial_delay_s)
    longest = max(ONE_ATTEMPT.max_delay_s, initial_delay_s)
    max_delay_s = values.number(path, raw, "max_delay_s", 0.0, MAX_DELAY_S, longest)
    if max_delay_s < initial_delay_s:
        message = f"max_delay_s is less than initial_delay_s ({initial_delay_s:g}): raise it, or lower the other"
        values.report.add(f"{path}/max_delay_s", "contradiction", message)
    return RetryPolicy(
        max_attempts=values.integer(path, raw, "max_attempts", MAX_ATTEMPTS) or 1,
        initial_delay_s=initial_delay_s,
        multiplier=values.number(path, raw, "multiplier", 1.0, MAX_MULTIPLIER, ONE_ATTEMPT.multiplier),
        max_delay_s=max_delay_s,
        jitter=values.number(path, raw, "jitter", 0.0, 1.0, ONE_ATTEMPT.jitter),
    )


def read_map(values: Values, path: str, raw: JSON) -> MapOver | None:
    """The list that a step runs over."""
    if not isinstance(raw, dict):
        message = f"map is a mapping with items, not {json_kind(raw)}: write {{items: '${{{{ … }}}}'}}"
        values.report.add(path, "wrong-type", message)
        return None
    values.report.check_keys(path, raw, MAP_KEYS, "map")
    max_parallel = values.integer(path, raw, "max_parallel", MAX_PARALLEL)
    if "items" not in raw:
        values.report.add(path, "missing-key", "map has no 'items': give the list to run over")
        return None
    raw_items = raw["items"]
    if isinstance(raw_items, list):
        return MapOver(values.template(f"{path}/items", raw_items), max_parallel)
    wanted = "a list or exactly one ${{ … }} that gives a list"
    items = values.expression(f"{path}/items", raw_items, "items", wanted)
    return MapOver(items, max_parallel) if items is not None else None


def read_join(values: Values, path: str, raw: JSON) -> Join | None:
    """How many of the needed steps must have succeeded, None for all; that so many are needed is checked later."""
    if raw == "all":
        return None
    if isinstance(raw, dict):
        values.report.check_keys(path, raw, JOIN_KEYS, "join")
        cancel_rest = raw.get("cancel_rest", False)
        if not isinstance(cancel_rest, bool):
            message = f"cancel_rest is true or false, not {json_kind(cancel_rest)}"
            values.report.add(f"{path}/cancel_rest", "wrong-type", message)
        if "count" not in raw:
            values.report.add(path, "missing-key", "join has no 'count': write any, or how many must have succeeded")
            return None
        count = _count(values, path, raw, "count", " or any")
        return Join(count, cancel_rest is True) if count else None
    count = _count(values, path.rpartition("/")[0], {"join": raw}, "join", ", all, any or a mapping with a count")
    return Join(count) if count else None


def _count(values: Values, path: str, raw: dict[str, JSON], key: str, alternative: str) -> int | None:
    return 1 if raw[key] == "any" else values.integer(path, raw, key, MAX_JOINED, alternative)


def read_repeat(values: Values, path: str, raw: JSON) -> Repeat | None:
    """Until when a step runs again, and how often at most."""
    if not isinstance(raw, dict):
        message = f"repeat is a mapping with until and max_iterations, not {json_kind(raw)}"
        values.report.add(path, "wrong-type", message)
        return None
    values.report.check_keys(path, raw, REPEAT_KEYS, "repeat")
    delay_s = values.number(path, raw, "delay_s", 0.0, MAX_DELAY_S, 0.0)
    iterations = values.integer(path, raw, "max_iterations", MAX_ITERATIONS)
    if "max_iterations" not in raw:
        message = "repeat has no 'max_iterations': say how often it runs at most"
        values.report.add(path, "missing-key", message)
    if "until" not in raw:
        message = "repeat has no 'until': give the condition that ends it, such as ${{ output.done }}"
        values.report.add(path, "missing-key", message)
        return None
    until = values.expression(f"{path}/until", raw["until"], "until", "exactly one ${{ … }} that holds the condition")
    return Repeat(until, iterations or 1, delay_s) if until is not None else None


def read_limits(values: Values, path: str, raw: JSON) -> dict[str, LimitUse]:
    """The flow limits that a step counts against, by where their names stand below the path."""
    if not isinstance(raw, list):
        message = f"limits is a list of names, or of mappings with a name, not {json_kind(raw)}: write [name]"
        values.report.add(path, "wrong-type", message)
        return {}
    if len(raw) > MAX_LIMITS:
        values.report.add(path, "too-large", f"there are {len(raw):,} limits, at most {MAX_LIMITS} are possible")
        return {}
    limits: dict[str, LimitUse] = {}
    for place, member in enumerate(raw):
        limit = _read_limit(values, f"{path}/{place}", member)
        if limit is None:
            continue
        if any(limit.name == earlier.name for earlier in limits.values()):
            values.report.add(f"{path}/{place}", "duplicate", f"{limit.name.source!r} is named twice: remove one")
        limits[f"/{place}/name" if isinstance(member, dict) else f"/{place}"] = limit
    return limits


def _read_limit(values: Values, path: str, raw: JSON) -> LimitUse | None:
    if not isinstance(raw, dict):
        name = values.title(path, raw, "a limit")
        return LimitUse(name) if name is not None else None
    values.report.check_keys(path, raw, LIMIT_KEYS, "a limit")
    rate_count = values.integer(path, raw, "rate_count", MAX_RATE)
    rate_per_s = values.number(path, raw, "rate_per_s", MIN_RATE_PER_S, MAX_DELAY_S, _UNBOUNDED.rate_per_s)
    if "rate_per_s" in raw and "rate_count" not in raw:
        message = "rate_per_s alone limits nothing: say with rate_count how many may begin in that time"
        values.report.add(path, "missing-key", message)
    max_parallel = values.integer(path, raw, "max_parallel", MAX_PARALLEL)
    if "name" not in raw:
        message = "the limit has no 'name': steps with the same name share it"
        values.report.add(path, "missing-key", message)
        return None
    name = values.title(f"{path}/name", raw["name"], "name")
    return LimitUse(name, max_parallel, rate_count, rate_per_s) if name is not None else None


def read_cost(values: Values, path: str, raw: JSON) -> Template | None:
    """What one attempt reserves of the budget: a number, or an expression that gives one, by unit."""
    if not isinstance(raw, dict):
        message = f"cost is a mapping from unit to number, not {json_kind(raw)}: its units are {', '.join(UNITS)}"
        values.report.add(path, "wrong-type", message)
        return None
    values.report.check_keys(path, raw, UNITS, "cost")
    for unit, amount in raw.items():
        if unit in UNITS and isinstance(amount, str):
            wanted = f"a number from 0 to {MAX_AMOUNT:,.0f} or exactly one ${{{{ … }}}} that gives one"
            values.expression(f"{path}/{unit}", amount, unit, wanted)
        elif unit in UNITS:
            values.number(path, raw, unit, 0.0, MAX_AMOUNT, 0.0)
    return compile_all(raw)[0]  # what is bad in it was reported one by one above
