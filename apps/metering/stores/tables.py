"""The table of calls in ClickHouse, as the model of a call describes it: its columns, its checks,
and what is worked out of a call, are those of the model.
"""

from collections.abc import Iterator
from typing import Any

from django.db import connections
from django.db.models import CharField, CheckConstraint, Field, GeneratedField
from django.db.models.sql import Query

from apps.integrations.clickhouse.client import filled
from apps.metering.models import UsageEvent

TABLE = UsageEvent._meta.db_table
GONE = ("usage_event_reason_only_if_unmetered",)  # checks that older versions made
TYPES = {
    "UUIDField": "UUID",
    "DateTimeField": "DateTime64(6, 'UTC')",
    "CharField": "LowCardinality(String)",
    "PositiveSmallIntegerField": "UInt16",
    "PositiveIntegerField": "UInt32",
    "BigIntegerField": "Int64",
    "FloatField": "Float64",
    "DecimalField": "Decimal(30, 6)",
}


def statements(alias: str) -> Iterator[str]:
    """Yield what makes the table, and what it may lack where an older version made it."""
    columns = {str(field.column): _column(field, alias) for field in _fields()}
    checks = dict(_checks(alias))
    parts = [f"{name} {kind}" for name, kind in columns.items()]
    parts += [f"CONSTRAINT {name} CHECK {check}" for name, check in checks.items()]
    yield f"""CREATE TABLE IF NOT EXISTS {TABLE} ({", ".join(parts)})
        ENGINE = ReplacingMergeTree(received_at)
        PARTITION BY toYYYYMMDD(occurred_at) ORDER BY event_id"""
    for name, kind in columns.items():
        yield f"ALTER TABLE {TABLE} ADD COLUMN IF NOT EXISTS {name} {kind}"
        if "MATERIALIZED" in kind:  # what is worked out is worked out as it is now
            yield f"ALTER TABLE {TABLE} MODIFY COLUMN {name} {kind}"
    for name in GONE:
        yield f"ALTER TABLE {TABLE} DROP CONSTRAINT IF EXISTS {name}"
    for name, check in checks.items():
        yield f"ALTER TABLE {TABLE} ADD CONSTRAINT IF NOT EXISTS {name} CHECK {check}"


def _fields() -> list["Field[Any, Any]"]:
    """Return the columns, those first that others are worked out of."""
    return sorted(
        UsageEvent._meta.concrete_fields, key=lambda field: isinstance(field, GeneratedField)
    )


def _column(field: Any, alias: str) -> str:
    if isinstance(field, GeneratedField):
        sql, values = field.generated_sql(connections[alias])
        return f"LowCardinality(String) MATERIALIZED {filled(sql, values)}"
    kind = TYPES[field.get_internal_type()]
    return f"Nullable({kind})" if field.null else kind


def _checks(alias: str) -> Iterator[tuple[str, str]]:
    """Yield the checks of the model, and that no text is longer than its column is elsewhere."""
    for constraint in UsageEvent._meta.constraints:
        if isinstance(constraint, CheckConstraint):
            query = Query(UsageEvent, alias_cols=False)
            compiler = query.get_compiler(connection=connections[alias])
            where: Any = constraint.condition
            sql, values = compiler.compile(query.build_where(where))
            yield constraint.name, filled(sql, values)
    for field in UsageEvent._meta.concrete_fields:
        if isinstance(field, CharField):
            yield f"{field.column}_fits", f"lengthUTF8({field.column}) <= {field.max_length}"
