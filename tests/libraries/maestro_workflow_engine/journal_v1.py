"""A journal of version 1, as the engine of that version wrote it: its schema, and six workflows."""

import sqlite3
from pathlib import Path
from typing import Any, Final

APPLICATION_ID: Final = 0x4D535452
SCHEMA: Final = """
CREATE TABLE definitions (
    key INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    document TEXT NOT NULL
);
CREATE TABLE workflows (
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    template TEXT,
    labels TEXT NOT NULL,
    definition INTEGER NOT NULL REFERENCES definitions (key),
    base_dir TEXT NOT NULL,
    status TEXT NOT NULL,
    started_at INTEGER NOT NULL,
    finished_at INTEGER,
    error TEXT
);
CREATE INDEX workflows_by_status ON workflows (status, key);
CREATE INDEX workflows_by_name ON workflows (name, key);
CREATE INDEX workflows_by_template ON workflows (template, key) WHERE template IS NOT NULL;
CREATE TABLE events (
    position INTEGER PRIMARY KEY,
    workflow INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    type INTEGER NOT NULL,
    at INTEGER NOT NULL,
    data TEXT NOT NULL
);
CREATE UNIQUE INDEX events_by_workflow ON events (workflow, seq);
"""


def make(folder: Path) -> Path:
    """Write it."""
    path = folder / "journal.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.executescript(SCHEMA)
    connection.executemany("INSERT INTO definitions (digest, document) VALUES (?, ?)", DEFINITIONS)
    connection.executemany(
        "INSERT INTO workflows (id, name, template, labels, definition, base_dir, status, started_at, finished_at, "
        "error) VALUES (?, ?, ?, ?, ?, '/srv/flows', ?, ?, ?, ?)",
        WORKFLOWS,
    )
    connection.executemany("INSERT INTO events (workflow, seq, type, at, data) VALUES (?, ?, ?, ?, ?)", EVENTS)
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute("PRAGMA user_version = 1")
    connection.commit()
    connection.close()
    return path


DEFINITIONS: list[tuple[Any, ...]] = [
    (
        "1f9d973b5dd303020ea2e3032615ed1045741f3face34b6f66706598d8a8bbf9",
        '{"name":"good","inputs":{"n":{"type":"integer","default":3},"who":{"type":"string","'
        'default":"x"}},"steps":{"a":{"kind":"test"}}}',
    ),
    (
        "f753364298450cf50c4d68f8ccb5521665121e75cef9a89b66a57c9ae92e7d38",
        '{"name":"large","inputs":{"n":{"type":"integer","default":3},"who":{"type":"string",'
        '"default":"x"}},"steps":{"a":{"kind":"large"}}}',
    ),
    (
        "ad1aad2c7f81125d8b37e4147496309acbb159892470fae3aaca71e335bb2662",
        '{"name":"good","inputs":{"n":{"type":"integer","default":3},"who":{"type":"string","'
        'default":"x"}},"steps":{"a":{"kind":"bad"}}}',
    ),
    (
        "7a1f415dd42067635b6078e7ecec2d2edd796e80170f5a68644d257b41243817",
        '{"name":"retrying","inputs":{"n":{"type":"integer","default":3},"who":{"type":"strin'
        'g","default":"x"}},"steps":{"a":{"kind":"bad","retry":{"max_attempts":9,"initial_del'
        'ay_s":50,"max_delay_s":50,"jitter":0}}}}',
    ),
    (
        "370b7a9475a3e0b2c74a6598de682c81c6394b986de1c666b483a9f53b3b15bd",
        '{"name":"napping","inputs":{"n":{"type":"integer","default":3},"who":{"type":"string'
        '","default":"x"}},"steps":{"a":{"kind":"nap"}}}',
    ),
    (
        "b7b018fb9b2d49e571c442f25afc1d3d66ec06be77557229e6a5678e7ec93453",
        '{"name":"running","inputs":{"n":{"type":"integer","default":3},"who":{"type":"string'
        '","default":"x"}},"steps":{"a":{"kind":"gate"}}}',
    ),
]
WORKFLOWS: list[tuple[Any, ...]] = [
    ("good", "good", "t", '{"env":"production"}', 1, "succeeded", 1767225600000000, 1767225600000000, None),
    ("large", "large", None, '{"env":"staging"}', 2, "succeeded", 1767225601000000, 1767225601000000, None),
    (
        "failed",
        "good",
        None,
        "{}",
        3,
        "failed",
        1767225602000000,
        1767225602000000,
        '{"code":"workflow.step-raised","message":"Flaky: no luck","retryable":true}',
    ),
    ("retrying", "retrying", None, "{}", 4, "running", 1767225602000000, None, None),
    ("napping", "napping", None, "{}", 5, "running", 1767225602000000, None, None),
    ("running", "running", None, "{}", 6, "running", 1767225602000000, None, None),
]
EVENTS: list[tuple[Any, ...]] = [
    (
        1,
        1,
        0,
        1767225600000000,
        '{"name":"good","definition":"1f9d973b5dd303020ea2e3032615ed1045741f3face34b6f6670659'
        '8d8a8bbf9","inputs":{"n":7,"who":"x"},"template":"t","labels":{"env":"production"}}',
    ),
    (1, 2, 1, 1767225600000000, '{"step":"a","attempt":1}'),
    (1, 3, 3, 1767225600000000, '{"step":"a","attempt":1}'),
    (1, 4, 5, 1767225600000000, '{"step":"a","attempt":1,"output":{"n":1}}'),
    (1, 5, 10, 1767225600000000, '{"outputs":{}}'),
    (
        2,
        1,
        0,
        1767225601000000,
        '{"name":"large","definition":"f753364298450cf50c4d68f8ccb5521665121e75cef9a89b66a57c'
        '9ae92e7d38","inputs":{"n":3,"who":"you"},"template":null,"labels":{"env":"staging"}}',
    ),
    (2, 2, 1, 1767225601000000, '{"step":"a","attempt":1}'),
    (2, 3, 3, 1767225601000000, '{"step":"a","attempt":1}'),
    (
        2,
        4,
        5,
        1767225601000000,
        '{"step":"a","attempt":1,"output_ref":{"sha256":"e03d9e85eec7bdc57d99d7347dc8df60e467'
        'ba0bcf8d242db601ce4c6c01798a","size_bytes":20002,"media_type":"application/json"}}',
    ),
    (2, 5, 10, 1767225601000000, '{"outputs":{}}'),
    (
        3,
        1,
        0,
        1767225602000000,
        '{"name":"good","definition":"ad1aad2c7f81125d8b37e4147496309acbb159892470fae3aaca71e'
        '335bb2662","inputs":{"n":3,"who":"x"},"template":null,"labels":{}}',
    ),
    (3, 2, 1, 1767225602000000, '{"step":"a","attempt":1}'),
    (3, 3, 3, 1767225602000000, '{"step":"a","attempt":1}'),
    (
        3,
        4,
        6,
        1767225602000000,
        '{"step":"a","attempt":1,"error":{"code":"workflow.step-raised","message":"Flaky: no '
        'luck","retryable":true}}',
    ),
    (
        3,
        5,
        11,
        1767225602000000,
        '{"error":{"code":"workflow.step-raised","message":"Flaky: no luck","retryable":true}'
        ',"step":"a","item":null}',
    ),
    (
        4,
        1,
        0,
        1767225602000000,
        '{"name":"retrying","definition":"7a1f415dd42067635b6078e7ecec2d2edd796e80170f5a68644'
        'd257b41243817","inputs":{"n":3,"who":"x"},"template":null,"labels":{}}',
    ),
    (4, 2, 1, 1767225602000000, '{"step":"a","attempt":1}'),
    (4, 3, 3, 1767225602000000, '{"step":"a","attempt":1}'),
    (
        4,
        4,
        6,
        1767225602000000,
        '{"step":"a","attempt":1,"error":{"code":"workflow.step-raised","message":"Flaky: no '
        'luck","retryable":true},"retry_at":"2026-01-01T00:00:52.000000Z"}',
    ),
    (
        5,
        1,
        0,
        1767225602000000,
        '{"name":"napping","definition":"370b7a9475a3e0b2c74a6598de682c81c6394b986de1c666b483'
        'a9f53b3b15bd","inputs":{"n":3,"who":"x"},"template":null,"labels":{}}',
    ),
    (5, 2, 1, 1767225602000000, '{"step":"a","attempt":1}'),
    (5, 3, 3, 1767225602000000, '{"step":"a","attempt":1}'),
    (5, 4, 4, 1767225602000000, '{"step":"a","attempt":1,"until":"2026-01-01T01:00:02.000000Z"}'),
    (
        6,
        1,
        0,
        1767225602000000,
        '{"name":"running","definition":"b7b018fb9b2d49e571c442f25afc1d3d66ec06be77557229e6a5'
        '678e7ec93453","inputs":{"n":3,"who":"x"},"template":null,"labels":{}}',
    ),
    (6, 2, 1, 1767225602000000, '{"step":"a","attempt":1}'),
    (6, 3, 3, 1767225602000000, '{"step":"a","attempt":1}'),
]
