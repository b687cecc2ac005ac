"""Access and budgets: requests, what ends or is to be looked at, and what runs out."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from urllib.parse import urlencode

from django.urls import reverse

from apps.access import actions as access
from apps.access import telling
from apps.access.budgets import actions as budgets
from apps.access.budgets import telling as budget_lines
from apps.access.budgets.models import Boost, BudgetChange, in_unit
from apps.access.budgets.queries import open_alerts
from apps.access.models import AccessRequest, Grant
from apps.access.recertification.models import to_look_at
from apps.access.recertification.queries import period
from apps.access.recertification.words import due_words
from apps.accounts.models import Role, User
from apps.accounts.roles import OWNS_MODELS
from apps.common.money import exact
from apps.common.periods import DAY, day_words, next_month
from portal.needs.lines import SHOWN, Need, own

EXPIRES_SOON = timedelta(days=14)


def own_requests(user: User) -> Iterator[Need]:
    """Access requests of this person."""
    waiting = AccessRequest.objects.pending().filter(requested_by=user)
    rows = waiting.select_related("registered_model__owner_team")
    yield from own(rows, telling.own_title, access.question, user, icon="key-round")


def requests_to_decide(user: User) -> Iterator[Need]:
    """Access requests that the person decides about."""
    waiting = AccessRequest.objects.to_decide(user)
    for item in waiting.select_related("team", "registered_model", "requested_by")[:SHOWN]:
        title, url = telling.asked_title(item), item.get_absolute_url()
        why = f"Asked by {item.requested_by.name}: {item.purpose[:80]}"
        yield Need(title, why, url, "key-round", "busy", item.requested_at)


def grants_that_end(user: User, now: datetime) -> Iterator[Need]:
    """Grants of the lead's team that end within two weeks."""
    if not user.has_role(Role.TEAM_LEAD):
        return
    ending = Grant.objects.active(now).filter(team=user.team_id, active_to__lte=now + EXPIRES_SOON)
    for item in ending.select_related("registered_model")[:SHOWN]:
        title = f"Access to {item.registered_model.name} ends on {day_words(item.last_day)}"
        why = "Renew it before then, or calls will be refused"
        url = reverse("access:grant_detail", args=(item.pk,))
        yield Need(title, why, url, "calendar-clock", "warn", item.active_to)


def grants_to_look_at(user: User, now: datetime) -> Iterator[Need]:
    """Grants of the owner's models that are to be kept or ended, but those that they asked for."""
    if not user.has_role(*OWNS_MODELS):
        return
    mine = Grant.objects.filter(registered_model__owner_team=user.team_id)
    others = mine.exclude(request__requested_by__person=user.person)
    due = to_look_at(others, period(), now).select_related("registered_model", "team")
    for item in due[:SHOWN]:
        title = f"Keep or end the access of {item.team.name} to {item.registered_model.name}"
        why = due_words(item.due_at, now).capitalize()
        url = f"{reverse('access:grant_detail', args=(item.pk,))}#look"
        tone = "bad" if item.due_at <= now else "warn"
        yield Need(title, why, url, "calendar-clock", tone, item.due_at)


def own_budgets(user: User) -> Iterator[Need]:
    """Changes and boosts of budgets that this person asked for."""
    for kind in (BudgetChange, Boost):
        rows = kind.objects.pending().filter(requested_by=user).named()
        yield from own(rows, budget_lines.own_title, budgets.question, user, icon="wallet")


def budgets_to_decide(user: User) -> Iterator[Need]:
    """Changes and boosts of budgets that the person decides about."""
    for kind in (BudgetChange, Boost):
        for item in kind.objects.named().to_decide(user)[:SHOWN]:
            title, url = budget_lines.asked_title(item), item.get_absolute_url()
            why = f"{item.asks}: {item.justification[:80]}"
            yield Need(title, why, url, "wallet", "busy", item.requested_at)


def budgets_that_run_out(user: User, now: datetime) -> Iterator[Need]:
    """Budgets that have reached a threshold this month, for those who can ask for a boost."""
    for each in open_alerts(user, now)[:SHOWN]:
        alert, budget = each.alert, each.budget
        amounts = [in_unit(amount, budget.unit) for amount in (alert.spent, each.limit)]
        is_spent = alert.spent >= each.limit
        title = budget_lines.reached_title(budget, alert.threshold, is_spent)
        end = next_month(alert.month) - DAY
        asked = urlencode({"amount": exact(alert.boost), "end": end.isoformat()})
        url = f"{reverse('chargeback:boost_create', args=[budget.series])}?{asked}"
        boost = f"a boost of {in_unit(alert.boost, budget.unit)} until {day_words(end)}"
        why = f"{amounts[0]} of {amounts[1]}. Ask for {boost}"
        yield Need(title, why, url, "wallet", "bad" if is_spent else "warn", alert.told_at)
