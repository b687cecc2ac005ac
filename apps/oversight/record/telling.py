"""What there is to tell of the audit record: that a reading of it found something wrong."""

from datetime import datetime
from functools import partial

from django.urls import reverse

from apps.accounts.people import holders
from apps.accounts.roles import OVERSEES_RECORD
from apps.audit.models import Verification
from apps.common.counts import counted
from apps.notices.models import Kind
from apps.notices.news import LATELY, News, tell_news


def tell(*, now: datetime) -> int:
    """Tell those who oversee the record; return how many notices."""
    found = Verification.objects.filter(found__gt=0, verified_at__gte=now - LATELY)
    news = [
        News(
            key=f"record:{row.pk}",
            kind=Kind.RECORD,
            title=f"The audit record does not hold: {counted(row.found, 'finding')}",
            path=reverse("oversight:record"),
            people=partial(holders, *OVERSEES_RECORD),
            urgent=True,
        )
        for row in found
    ]
    return tell_news(news, now=now)
