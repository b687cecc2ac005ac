"""What Postgres does for a page: the statements that it sends, and in their plans every sequential
scan of a table that is big.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
BIG = 20_000  # rows; a table below it is read whole in a few milliseconds
# partitions count as what they are a part of
SIZES = """
SELECT c.relname, GREATEST(
    CASE WHEN i.inhparent IS NULL THEN c.reltuples
         ELSE sum(c.reltuples) OVER (PARTITION BY i.inhparent) END, 0)
FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
"""


@dataclass(frozen=True)
class Plans:
    """The plans of a page's statements. database_ms: what they take together by EXPLAIN ANALYZE.
    scans: table → rows, of sequential scans of big tables. dearest: the head of the statement that
    takes longest, its milliseconds, and the nodes that read tables in its plan.
    """

    statements: int
    database_ms: float
    scans: dict[str, int]
    dearest: str
    dearest_ms: float
    reads: tuple[str, ...]

    @property
    def words(self) -> str:
        """Return them in one line."""
        scanned = ", ".join(f"{name} ({rows:,} rows)" for name, rows in self.scans.items())
        return (
            f"{self.statements} statements, {self.database_ms:.1f} ms; big tables read whole: "
            f"{scanned or 'none'}; dearest {self.dearest_ms:.1f} ms: {'; '.join(self.reads)}"
        )

    @property
    def plain(self) -> Json:
        """Return them as the JSON tells them."""
        return {
            "statements": self.statements,
            "database_ms": round(self.database_ms, 1),
            "sequential_scans": self.scans,
            "dearest": self.dearest,
            "dearest_ms": round(self.dearest_ms, 1),
            "reads": list(self.reads),
        }


def plans_of(ask: Callable[[], object], sizes: dict[str, int]) -> Plans:
    """Return the plans of the statements that something sends. sizes: of `table_sizes`."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as captured:
        ask()
    asked = [query["sql"] for query in captured.captured_queries]
    statements = [sql for sql in asked if sql.lstrip().upper().startswith(("SELECT", "WITH"))]
    found = [(explained(sql), sql) for sql in statements]
    slowest, sql = max(found, key=lambda each: took(each[0]))
    return Plans(
        statements=len(statements),
        database_ms=sum(took(plan) for plan, _ in found),
        scans=scans([plan["Plan"] for plan, _ in found], sizes),
        dearest=" ".join(sql.split())[:160],
        dearest_ms=took(slowest),
        reads=reads(slowest["Plan"]),
    )


def explained(statement: str) -> Json:
    """Return what EXPLAIN ANALYZE tells of a statement."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}")
        found: Json = cursor.fetchone()[0][0]
        return found


def took(plan: Json) -> float:
    """Return the milliseconds of planning and running."""
    return float(plan["Planning Time"]) + float(plan["Execution Time"])


def nodes(plan: Json) -> Iterator[Json]:
    """Yield every node of a plan, the root first."""
    yield plan
    for below in plan.get("Plans", ()):
        yield from nodes(below)


def scans(plans: Sequence[Json], sizes: dict[str, int]) -> dict[str, int]:
    """Return table → rows, of the big tables that the plans read in their whole length. A node that
    was never run reads nothing.
    """
    return {
        node["Relation Name"]: sizes.get(node["Relation Name"], 0)
        for plan in plans
        for node in nodes(plan)
        if node["Node Type"] == "Seq Scan"
        and node.get("Actual Loops", 1)
        and sizes.get(node["Relation Name"], 0) >= BIG
    }


def reads(plan: Json) -> tuple[str, ...]:
    """Return how a plan reads its tables, each way once: "Index Scan by daily_line_by_team"."""
    found = (
        f"{node['Node Type']} {by}"
        for node in nodes(plan)
        if "Scan" in node["Node Type"] and node.get("Actual Loops", 1)
        if (by := _by(node))
    )
    return tuple(dict.fromkeys(found))


def _by(node: Json) -> str:
    if "Index Name" in node:
        return f"by {node['Index Name']}"
    return f"of {node['Relation Name']}" if node["Node Type"] == "Seq Scan" else ""


def table_sizes() -> dict[str, int]:
    """Return table → its rows, as ANALYZE counted them; a partition has those of its parent."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(SIZES)
        return {name: int(rows) for name, rows in cursor.fetchall()}
