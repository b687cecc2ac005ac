"""What there is to tell of the cloud's bills: one that cannot be read, and one that says something
else than when its month was closed.
"""

from collections.abc import Iterator
from datetime import datetime
from functools import partial

from django.db.models import Q
from django.urls import reverse

from apps.accounts.people import holders
from apps.accounts.roles import CLOSES_MONTHS, MENDS_BILLS
from apps.chargeback.bills.models import Bill, BillFeed
from apps.chargeback.bills.queries import bills_at_close
from apps.chargeback.bills.reconcile import S3
from apps.notices.models import Kind
from apps.notices.news import LATELY, News

REFUSED = "bill-refused"
MOST_TRIES = 10  # of S3, which is away now and then: minutes by then


def refused() -> Iterator[News]:
    """Yield the bills that cannot be read now. What S3 refuses is no news before the tenth try."""
    unread = BillFeed.objects.filter(month__isnull=False).exclude(message="")
    lasting = unread.filter(~Q(reason=S3) | Q(attempts__gte=MOST_TRIES))
    for feed in lasting:
        yield News(
            key=f"{REFUSED}:{feed.pk}:{feed.generation}",
            kind=Kind.MONTH,
            title=f"The {feed} cannot be read",
            path=_path(feed.month),
            people=partial(holders, *MENDS_BILLS),
        )


def restated(now: datetime) -> Iterator[News]:
    """Yield the bills that were read of late, and are others than their months were closed with."""
    lately = Bill.objects.current().filter(read_at__gte=now - LATELY)
    current = {bill.month: bill for bill in lately}
    for month, before in bills_at_close(current).items() if current else ():
        bill = current[month]
        if before.pk != bill.pk:
            yield News(
                key=f"bill-restated:{bill.pk}",
                kind=Kind.MONTH,
                title=f"The {bill} was restated after its month was closed",
                path=_path(month),
                people=partial(holders, *CLOSES_MONTHS),
            )


def _path(month: object) -> str:
    return f"{reverse('chargeback:bill_reconciliation')}?month={month:%Y-%m}"
