"""One turn of the database's function purse_turn: what a gate, or a worker, asks in it, and what it
answers. Only SQL and its parameters stand here; no connection.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from apps.access.holds.models import Kind

# Longer than a gate's pause between two extensions by far, also where its clock is behind the
# worker's, and a call of it is sent on only where its reservation is written; so it covers a gate
# that died, and nothing else.
LEASE = timedelta(minutes=4)
COST_CENTER, TEAM, MODEL = 1, 2, 3  # levels: whose limit it is


@dataclass(frozen=True)
class Whose:
    """Which counters a call counts in: those of its cost center, its team and the team's use of
    the model, in the windows that hold its moment.
    """

    at: datetime
    cost_center: str
    team: str
    model: str


@dataclass(frozen=True)
class Limit:
    """What may be reserved and used in a counter, at most. level: of COST_CENTER, TEAM, MODEL."""

    kind: Kind
    level: int
    starts_at: datetime
    most: Decimal | int


@dataclass(frozen=True)
class Wanted:
    """What a call may use at most, and the limits it must pass. usd: None where nothing of it has a
    price; minute_tokens: of the tokens of its minute.
    """

    id: UUID
    whose: Whose
    usd: Decimal | None
    tokens: int
    minute_tokens: int
    limits: Sequence[Limit]


@dataclass(frozen=True)
class Settled:
    """What a call used. counts: False gives back alone what is reserved, as for a call that was
    refused later. told: what its gate counted, by the columns of a settled call.
    """

    id: UUID
    whose: Whose
    usd: Decimal | None
    tokens: int
    counts: bool = True
    told: Mapping[str, str | int | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Turn:
    """What goes to the database together. given_back: if their lease has ended; extended: whose
    lease goes on.
    """

    wanted: Sequence[Wanted] = ()
    settled: Sequence[Settled] = ()
    given_back: Sequence[UUID] = ()
    extended: Sequence[UUID] = ()


@dataclass(frozen=True)
class Short:
    """A limit that has too little left. limit: its place in the call's limits; taken: what is
    reserved and used of it already.
    """

    limit: int
    taken: Decimal


@dataclass
class Answer:
    """What became of one call that wanted something. is_ready: every counter was ready; is_double:
    its id is another call's.
    """

    short: list[Short] = field(default_factory=list)
    is_ready: bool = True
    is_double: bool = False

    @property
    def is_held(self) -> bool:
        """Tell whether it is reserved."""
        return self.is_ready and not self.is_double and not self.short


# What the function takes, in its order: a name here, and the type there.
_TYPES = {
    "moment": "timestamptz", "lease": "interval",
    "r_id": "uuid[]", "r_at": "timestamptz[]", "r_cost_center": "text[]", "r_team": "text[]",
    "r_model": "text[]", "r_usd": "numeric[]", "r_tokens": "bigint[]", "r_minute": "bigint[]",
    "l_call": "int[]", "l_kind": "text[]", "l_level": "int[]", "l_starts_at": "timestamptz[]",
    "l_most": "numeric[]",
    "s_id": "uuid[]", "s_at": "timestamptz[]", "s_cost_center": "text[]", "s_team": "text[]",
    "s_model": "text[]", "s_usd": "numeric[]", "s_tokens": "bigint[]", "s_counts": "boolean[]",
    "s_told": "jsonb[]",
    "x_id": "uuid[]", "e_id": "uuid[]",
}  # fmt: skip
SQL = (
    "SELECT said, call, no, taken, id FROM purse_turn("  # noqa: S608 - our own names and types
    + ", ".join(f"%s::{of_type}" for of_type in _TYPES.values())
    + ")"
)


def parameters(turn: Turn, *, now: datetime, lease: timedelta = LEASE) -> list[Any]:
    """Return what SQL takes for a turn. now: aware; a reservation expires a lease later."""
    limits = [(n, limit) for n, one in enumerate(turn.wanted, 1) for limit in one.limits]
    return [
        now,
        lease,
        *_columns(turn.wanted),
        _array(one.minute_tokens for one in turn.wanted),
        _array(n for n, _ in limits),
        _array(str(limit.kind) for _, limit in limits),
        _array(limit.level for _, limit in limits),
        _array(limit.starts_at.isoformat() for _, limit in limits),
        _array(limit.most for _, limit in limits),
        *_columns(turn.settled),
        _array(one.counts for one in turn.settled),
        _array(quoted(json.dumps(dict(one.told))) for one in turn.settled),
        _array(turn.given_back),
        _array(turn.extended),
    ]


def _columns(rows: Sequence[Wanted] | Sequence[Settled]) -> list[str]:
    return [
        _array(row.id for row in rows),
        _array(row.whose.at.isoformat() for row in rows),
        _array(quoted(row.whose.cost_center) for row in rows),
        _array(quoted(row.whose.team) for row in rows),
        _array(quoted(row.whose.model) for row in rows),
        _array("NULL" if row.usd is None else row.usd for row in rows),
        _array(row.tokens for row in rows),
    ]


def _array(values: Iterable[object]) -> str:
    """Return an array as PostgreSQL reads it, of values that it reads as they are written. Every
    call pays for two turns, and psycopg's own way of writing arrays would be a third of one.
    """
    return f"{{{','.join(map(str, values))}}}"


def quoted(text: str) -> str:
    """Return a text as it stands in an array."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def answers(turn: Turn, rows: Iterable[Sequence[Any]]) -> tuple[list[Answer], list[UUID]]:
    """Return what became of each call that wanted something, in order; and which reservations that
    had expired were given back.
    """
    found = [Answer() for _ in turn.wanted]
    firsts, first = [], 0
    for one in turn.wanted:
        firsts.append(first)
        first += len(one.limits)
    released = []
    for said, call, no, taken, call_id in rows:
        if said == "RELEASED":
            released.append(call_id)
        elif said == "SHORT":
            found[call - 1].short.append(Short(no - 1 - firsts[call - 1], taken))
        elif said == "DOUBLE":
            found[call - 1].is_double = True
        else:
            found[call - 1].is_ready = False
    return found, released
