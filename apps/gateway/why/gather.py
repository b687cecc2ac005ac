"""Reads what the rules are asked about: rows, as they are now or as they were at a moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from apps.access.budgets.models import Budget
from apps.access.holds.models import ALWAYS_FROM, BudgetReservation, Counter, Kind, SettledCall
from apps.access.holds.models import Held as HeldRow
from apps.access.models import Grant
from apps.accounts.models import Team
from apps.catalog.models import RegisteredModel
from apps.catalog.retirement.models import standing_of
from apps.chargeback.budgets.limits import Balance, decide
from apps.chargeback.budgets.queries import balances
from apps.common.money import usd
from apps.common.periods import hour_of
from apps.gateway.effective.models import SETTLES_WITHIN, GatewayDrift
from apps.gateway.gate.steps import Does
from apps.gateway.guard.models import GuardHit
from apps.gateway.guard.queries import in_force
from apps.gateway.models import PolicyRevision
from apps.gateway.why.facts import Caller, Facts, Held, Minute, PastCall
from apps.metering import store
from apps.metering.quarantine.models import QuarantinedRecord
from apps.promotions import serving

MINUTE = timedelta(minutes=1)
NOW = timedelta(minutes=2)  # a moment so little ago is now


def facts_of(
    caller: Caller, name: str, at: datetime, *, now: datetime, call: PastCall | None = None
) -> Facts:
    """Return what is known of a caller, a model and a moment; about a dozen queries.

    at: not later than now. call: of which it is asked, where it is of one that was made.
    """
    is_now = call is None and now - at < NOW
    model = RegisteredModel.objects.select_related("owner_team").filter(name=name).first()
    grants = _grants(caller, model, at)
    found = _balances(caller, name, at, is_now=is_now)
    counters = _counters(caller, name, at, is_now=is_now) if grants else _Counters()
    return Facts(
        caller=caller,
        name=name,
        at=at,
        is_now=is_now,
        model=model,
        retirement=standing_of(model.pk) if model else None,
        state=serving.of_model(model, now) if model and is_now else None,
        grants=grants,
        ended=None if grants else _ended(caller, model, at),
        policy=PolicyRevision.objects.filter(registered_model=model).first() if model else None,
        balances=found,
        # what the smallest call there is would use
        decision=decide(found, usd=None, tokens=1),
        minute=counters.minute,
        under_way=counters.under_way,
        guardrails=len(in_force(at).rules.rules),
        drifts=_drifts(caller, model, now) if is_now else (),
        call=call,
    )


def _grants(caller: Caller, model: RegisteredModel | None, at: datetime) -> list[Grant]:
    if model is None:
        return []
    rows = Grant.objects.in_force(at).filter(registered_model=model).select_related("team")
    teams = [caller.team] if caller.team else list(caller.teams)
    return list(rows.filter(team__slug__in=teams))


def _ended(caller: Caller, model: RegisteredModel | None, at: datetime) -> Grant | None:
    if model is None or not caller.team:
        return None
    rows = Grant.objects.filter(registered_model=model, team__slug=caller.team)
    return rows.filter(active_from__lte=at).order_by("-active_from").first()


def _balances(caller: Caller, name: str, at: datetime, *, is_now: bool) -> Sequence[Balance]:
    """Return the budgets that a call counts against, now or as of the hour of a moment."""
    asked = Budget.objects.active(at).of_call(
        cost_center=caller.cost_center, team=caller.team, model=name
    )
    until = None if is_now else hour_of(at)
    return list(balances(asked.named(), at, until=until).values())


def _drifts(caller: Caller, model: RegisteredModel | None, now: datetime) -> list[GatewayDrift]:
    """Return what of this team's access the gateway was seen to do otherwise, for longer than a
    change takes to arrive.
    """
    rows = GatewayDrift.objects.present().filter(
        registered_model=model,
        what=GatewayDrift.What.ACCESS,
        subject__in=("", caller.team),
        since__lte=now - SETTLES_WITHIN,
    )
    return list(rows) if model and caller.team else []


@dataclass(frozen=True)
class _Counters:
    """What the gate counts of a team and a model; None: it counts nothing of them now."""

    minute: Minute | None = None
    under_way: int | None = None


def _counters(caller: Caller, name: str, at: datetime, *, is_now: bool) -> _Counters:
    """Return the gate's own counters, and of a minute that it has forgotten what its calls used;
    one query, or two.
    """
    if not caller.team:
        return _Counters()
    start = at.replace(second=0, microsecond=0)
    rows = Counter.objects.filter(cost_center="", team=caller.team, model=name)
    kinds = {(row.kind, row.starts_at): row for row in rows.filter(
        kind__in=(Kind.MINUTE, Kind.CALLS), starts_at__in=(start, ALWAYS_FROM)
    )}  # fmt: skip
    calls, minute = kinds.get((Kind.CALLS, ALWAYS_FROM)), kinds.get((Kind.MINUTE, start))
    if minute is not None:
        held = int(minute.reserved)
        counted = Minute(int(minute.used), start + MINUTE, held=held, exact=True)
    else:
        used = store.tokens_used(team=caller.team, model=name, start=start, end=start + MINUTE)
        counted = Minute(used, start + MINUTE)
    return _Counters(counted, int(calls.reserved) if calls and is_now else None)


# -- Calls that were made --------------------------------------------------------------------------
def call_made(call_id: UUID) -> PastCall | None:
    """Return a call as it is stored, counted or kept apart; None where neither is."""
    event = store.call_of(call_id)
    record = None
    if event is None:
        record = QuarantinedRecord.objects.filter(event_id=call_id).first()
    if event is None and record is None:
        return None
    hits = GuardHit.objects.filter(call=call_id, does=Does.BLOCK).order_by("at", "pk")
    rules = tuple(dict.fromkeys(hits.values_list("rule", flat=True)))
    return PastCall(event, record, held_by(call_id), rules)


def held_by(call_id: UUID) -> Held:
    """Return what the gate held for a call and settled it by; two queries."""
    reservation = BudgetReservation.objects.filter(call_id=call_id).first()
    settled = SettledCall.objects.filter(call_id=call_id).first()
    return Held(
        reserved=_amount(reservation) if reservation else None,
        settled=_amount(settled) if settled else None,
        is_open=reservation is not None,  # it is deleted when the call is settled
    )


def _amount(row: HeldRow) -> str:
    money = "no price" if row.usd is None else usd(row.usd)
    return f"{row.tokens:,} tokens, {money}"


def caller_of(call: PastCall) -> Caller:
    """Return who made a call, by what is stored of it."""
    if call.event:
        cost_center = call.event.cost_center
    else:
        cost_center = str(call.record.values.get("cost_center", ""))[:32] if call.record else ""
    team = call.kept.team
    return Caller(team, cost_center, f"team {team}" if team else "a caller without a team")


def caller_team(team: Team) -> Caller:
    """Return a team as the caller."""
    return Caller(team.slug, team.cost_center.code, f"team {team.slug}")


def moment_of(call: PastCall) -> datetime:
    """Return when a call was made; when its record came, where that is not told."""
    kept = call.kept
    return kept.occurred_at or kept.received_at
