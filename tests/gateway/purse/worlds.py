"""What the tests of the purse stand on: budgets, grants and prices by the product's own doors or
its rows, calls as a gate reads them, and a turn at the database.
"""

import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from django.db import connection

from apps.access.budgets.models import Budget
from apps.access.models import AccessRequest, Grant
from apps.accounts.models import Role
from apps.chargeback.budgets.counters import Counted, make_ready
from apps.gateway.gate.answers import Used
from apps.gateway.gate.calls import Call, Caller, Text
from apps.gateway.purse.turns import SQL, answers, parameters
from apps.metering.gate.counts import Basis
from apps.metering.models import Completeness
from tests.factories import UserFactory

AT = datetime(2026, 11, 12, 9, 0, 30, tzinfo=UTC)


def take(turn, now=AT):
    """Return what became of a turn at the database, and what was given back."""
    with connection.cursor() as cursor:
        cursor.execute(SQL, parameters(turn, now=now))
        return answers(turn, cursor.fetchall())


def put(amount, *, unit="USD", mode="HARD", zone="UTC", now=AT, since=None, ready=True, **scope):
    """Set a budget, in force for long or since a moment, with its counter."""
    person = UserFactory(with_roles=[Role.FINANCE])
    found = Budget.objects.create(
        unit=unit, amount=Decimal(amount), zone=zone, mode=mode, thresholds=[80, 100],
        active_from=since or now - timedelta(days=60), set_by=person, reason="Agreed.", **scope,
    )  # fmt: skip
    if ready:
        make_ready([Counted.of(found)], now)
    return found


def grant(team, model, *, tokens=1000, calls=None, now=AT, **more):
    """Let a team call a model."""
    person, owner = UserFactory(team=team), UserFactory(team=model.owner_team)
    terms = {"tokens_per_minute": tokens, "calls_at_once": calls, **more}
    request = AccessRequest.objects.create(
        registered_model=model, team=team, requested_by=person, requested_at=now, purpose="Work.",
        data_class="PHI", monthly_budget_usd=1, expires_date=now.date() + timedelta(days=90),
        status="APPROVED", decided_by=owner, decided_at=now, **terms,
    )  # fmt: skip
    begins, ends = now - timedelta(days=1), now + timedelta(days=90)
    return Grant.objects.create(
        request=request, registered_model=model, team=team, active_from=begins, active_to=ends,
        **terms,
    )  # fmt: skip


def a_call(team="claims", model="summary", cost_center="CC-1", at=AT, **changes):
    """Return a chat of a hundred bytes that asks for ten tokens."""
    values = {
        "id": uuid.uuid4(), "at": at, "caller": Caller("s-1", team, cost_center, at),
        "path": "/v1/chat/completions", "operation": "CHAT", "model": model, "stream": False,
        "n": 1, "max_tokens": 10, "has_images": False, "continuous_usage": False,
        "texts": (Text("messages[0].content", "user", "hello"),), "body": b"x" * 100,
    }  # fmt: skip
    return Call(**values | changes)


def used(given=50, written=10, cached=None, basis=Basis.USAGE):
    """Return what an engine told of a call."""
    return Used(basis, Completeness.COMPLETE, given, cached, written)
