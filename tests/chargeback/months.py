"""A month with everything that a statement speaks of, by the product's own doors: two models on two
kinds of machine, three teams of two cost centers, machines that idle and that nobody's model uses.
"""

from datetime import date, timedelta
from decimal import Decimal
from uuid import uuid4

from apps.access.holds.models import SettledCall
from apps.chargeback import actions as days
from apps.chargeback.closing import actions, checklist
from apps.chargeback.inputs import due_days
from apps.chargeback.rating import Prices
from apps.common.periods import month_bounds
from apps.metering import actions as metering
from apps.metering.gate.reconcile import let_in_missing
from tests.chargeback.pricing import finance, price
from tests.chargeback.test_queries import use
from tests.factories import RegisteredModelFactory, create_event
from tests.fleet.machines import DAY, machine, replica

OCTOBER, NOVEMBER = date(2026, 10, 1), date(2026, 11, 1)
START, END = month_bounds(OCTOBER)
AFTER = END + timedelta(days=2)
CHAT = Prices(Decimal("0.35"), Decimal("0.04"), Decimal("1.10"))
EMBED = Prices(Decimal("0.02"), Decimal("0.01"), Decimal("0.05"), Decimal("0.015"), Decimal("2"))
FIRST = int((START - DAY).total_seconds() // 3600)  # the month's first hour, as machines count them


def october(used=None):
    """Make October: priced, used, shared out, and not closed. used: how an hour's use is made;
    `call` where it is left out.
    """
    used = used or call
    for name, size, prices in (("chat", 8_030_000_000, CHAT), ("embed", 135_000_000, EMBED)):
        price(RegisteredModelFactory(name=name, parameter_count=size), prices, START)
    big = machine("big", FIRST, FIRST + 10, price="8", capacity_type="spot")
    small = machine("small", FIRST + 26, FIRST + 30, price="2", gpus=1,
                    instance_type="g6.xlarge", capacity_type="on-demand")  # fmt: skip
    machine("cpu", FIRST, FIRST + 9, price="0.5", gpus=0, instance_type="m7i.large")
    replica(big, "chat-v1", FIRST, FIRST + 10, ready=FIRST + 1)
    replica(small, "embed-v1", FIRST + 26, FIRST + 30, ready=FIRST + 26)
    for team, cost_center, hours, tokens in (
        ("claims-review", "CC-4100", 3, 2_425_263),
        ("prior-auth", "CC-4200", 4, 4_850_526),
        ("appeals", "CC-4200", 4, 1_000_003),
    ):
        used("chat", START + timedelta(hours=hours), team, cost_center, output_tokens=tokens)
    used("embed", START + timedelta(hours=27), "appeals", "CC-4200",
         input_tokens=2_000_000, cached_input_tokens=7, output_tokens=0)  # fmt: skip
    settled()


def call(model, hour, team, cost_center, **counts):
    """Count an hour's use of a model's first version."""
    tokens = {"input_tokens": 0, "cached_input_tokens": 0, "output_tokens": 0} | counts
    return use(hour, model=model, version=f"{model}-v1", team=team, cost_center=cost_center,
               **tokens)  # fmt: skip


def really_call(model, hour, team, cost_center, *, received_at=None, event_id=None, **counts):
    """Store a call, to be added up."""
    tokens = {"input_tokens": 0, "cached_input_tokens": 0, "output_tokens": 0} | counts
    metering.mark_hours({hour}, hour)
    return create_event(
        event_id=event_id or uuid4(), occurred_at=hour + timedelta(minutes=7),
        received_at=received_at or hour + timedelta(minutes=8), received_via="OTLP",
        outcome="METERED", response_code=200, model=model, version=f"{model}-v1", team=team,
        cost_center=cost_center, **tokens,
    )  # fmt: skip


def untold_call(model, hour, team, cost_center):
    """Store a call that did not tell its usage, to be added up."""
    metering.mark_hours({hour}, hour)
    return create_event(
        event_id=uuid4(), occurred_at=hour + timedelta(minutes=9),
        received_at=hour + timedelta(minutes=9), received_via="OTLP", outcome="UNMETERED",
        unmetered_because="CLIENT_LEFT", response_code=200, model=model, version=f"{model}-v1",
        team=team, cost_center=cost_center,
    )  # fmt: skip


def cut_call(model, hour, team, cost_center, **counts):
    """Store a call that its client left, and that the gate counted up to there."""
    return really_call(
        model, hour, team, cost_center, basis="COUNTED", unmetered_because="CLIENT_LEFT", **counts
    )


def guessed_call(model, hour, team, cost_center, *, input_tokens, output_tokens, **_):
    """Store a call whose usage nobody told, with what the gate made of what passed."""
    metering.mark_hours({hour}, hour)
    at = hour + timedelta(minutes=11)
    return create_event(
        event_id=uuid4(), occurred_at=at, received_at=at, received_via="OTLP", outcome="UNMETERED",
        unmetered_because="CLIENT_LEFT", response_code=200, model=model, version=f"{model}-v1",
        team=team, cost_center=cost_center, basis="ESTIMATED",
        estimated_input_tokens=input_tokens, estimated_output_tokens=output_tokens,
    )  # fmt: skip


def settled_call(model, hour, team, cost_center, **counts):
    """Let a gate settle a call of which no line of the access log comes."""
    at = hour + timedelta(minutes=13)
    return SettledCall.objects.create(
        call_id=uuid4(), occurred_at=at, settled_at=at, team=team, model=model,
        cost_center=cost_center, tokens=counts["input_tokens"] + counts["output_tokens"],
        basis="USAGE", completeness="COMPLETE", operation="CHAT", **counts,
    )  # fmt: skip


def settled(now=AFTER):
    """Let the workers let in, add up, price and share out what is due."""
    let_in_missing(now=now)
    metering.roll_up_dirty_hours(now=now)
    days.price_due_days()
    for day in due_days(now):
        days.allocate_day(day=day, now=now)


def closed(month=OCTOBER, *, now=AFTER):
    """Close a month by two people, with every reason that it takes; return its close."""
    found = checklist.checks(month, now)
    reasons = {check.key: "As agreed." for check in found if check.stops and check.may_accept}
    item = actions.ask_to_close(
        month=month, requester=finance("asks"), justification="All of it was checked.",
        reasons=reasons, now=now,
    )  # fmt: skip
    return actions.close_month(item=item, approver=finance("closes"), reason="Agreed.", now=now)
