"""What a page of reconciliation is asked for: a month, by somebody who sees all money."""

from dataclasses import dataclass
from datetime import date, datetime

from django.http import Http404
from django.urls import reverse
from django.utils.timezone import now

from apps.accounts.requests import SignedIn
from apps.accounts.roles import SEES_ALL_MONEY
from apps.chargeback.api import parse_month
from apps.chargeback.periods import months_to_choose
from apps.common.periods import month_of


@dataclass(frozen=True)
class Asked:
    """The month, and the moment at which it was asked for."""

    month: date
    moment: datetime

    def context(self, **more: object) -> dict[str, object]:
        """Return what every page of reconciliation shows, and more."""
        return {
            "month": self.month,
            "months": months_to_choose(self.month, self.moment),
            "crumbs": [("Chargeback", reverse("chargeback:month")), ("Reconciliation", "")],
            **more,
        }


def asked_month(request: SignedIn) -> Asked:
    """Return the month that ?month= names, the present one where it names none. Raises Http404 for
    who does not see all money, and what parse_month raises for what is no month.
    """
    if not request.user.has_role(*SEES_ALL_MONEY):
        raise Http404
    moment, named = now(), request.GET.get("month")
    return Asked(parse_month(named) if named else month_of(moment), moment)
