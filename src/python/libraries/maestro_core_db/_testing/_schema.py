"""The schema of a database as the database itself tells it, in lines that can be compared."""

from collections.abc import Iterator

from sqlalchemy import Connection, inspect, text

_POSTGRES = """
SELECT format('table %s column %s %s%s%s%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
              CASE WHEN a.attnotnull THEN ' not null' END, ' default ' || pg_get_expr(d.adbin, d.adrelid),
              CASE WHEN a.attidentity <> '' THEN ' identity ' || a.attidentity::text END)
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
  LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
 WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
   AND a.attnum > 0 AND NOT a.attisdropped AND c.relname <> :without
UNION ALL
SELECT format('table %s constraint %s %s', c.relname, k.conname, pg_get_constraintdef(k.oid))
  FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
 WHERE c.relnamespace = current_schema()::regnamespace AND c.relname <> :without
UNION ALL
SELECT format('index %s%s', pg_get_indexdef(i.indexrelid), CASE WHEN NOT i.indisvalid THEN ' invalid' END)
  FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid
 WHERE c.relnamespace = current_schema()::regnamespace AND c.relname <> :without
UNION ALL
SELECT format('type %s %s', t.typname, string_agg(e.enumlabel, ', ' ORDER BY e.enumsortorder))
  FROM pg_type t JOIN pg_enum e ON e.enumtypid = t.oid GROUP BY t.typname
UNION ALL
SELECT format('view %s %s', viewname, definition) FROM pg_views WHERE schemaname = current_schema()
UNION ALL
SELECT format('trigger %s', pg_get_triggerdef(t.oid))
  FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
 WHERE c.relnamespace = current_schema()::regnamespace AND NOT t.tgisinternal
"""


def schema_of(connection: Connection, *, without: str) -> frozenset[str]:
    """One line for each column, key, index, check, type, view and trigger; `without` is a table that does not count."""
    if connection.dialect.name == "postgresql":
        return frozenset(connection.scalars(text(_POSTGRES), {"without": without}))
    return frozenset(_sqlite(connection, without))


def _sqlite(connection: Connection, without: str) -> Iterator[str]:
    found = inspect(connection)
    for table in found.get_table_names():
        if table == without:
            continue
        for _, name, kind, not_null, default, key, hidden in _pragma(connection, "table_xinfo", table):
            null = " not null" if not_null else ""
            yield f"table {table} column {name} {kind}{null} default {default} key {key} hidden {hidden}"
        for foreign in found.get_foreign_keys(table):
            told = sorted((name, value) for name, value in foreign.items() if name != "referred_schema")
            yield f"table {table} foreign key {told}"
        for check in found.get_check_constraints(table):
            yield f"table {table} check {check['name']} {' '.join(str(check['sqltext']).split())}"
        for unique in found.get_unique_constraints(table):
            yield f"table {table} unique {unique['name']} {unique['column_names']}"
        yield f"table {table} primary key {found.get_pk_constraint(table)['name']}"
    others = "SELECT type, sql FROM sqlite_master WHERE type <> 'table' AND sql IS NOT NULL AND tbl_name <> :without"
    for kind, sql in connection.execute(text(others), {"without": without}):
        yield f"{kind} {' '.join(sql.split())}"
    counted = "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE '%AUTOINCREMENT%'"
    for name in connection.scalars(text(counted)):
        yield f"table {name} autoincrement"


def _pragma(connection: Connection, name: str, table: str) -> list[tuple[object, ...]]:
    return [tuple(row) for row in connection.exec_driver_sql(f'PRAGMA {name}("{table}")')]
