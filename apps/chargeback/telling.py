"""What there is to tell of money: prices and closes that wait, what became of them, statements that
could not be made, and bills of the cloud that cannot be read or were restated.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import partial
from operator import methodcaller
from typing import Any

from apps.accounts.models import User
from apps.accounts.people import holders
from apps.accounts.roles import CLOSES_MONTHS, MENDS_DOCUMENTS, PUBLISHES_PRICES
from apps.chargeback.bills import telling as bills
from apps.chargeback.closing import actions as closing
from apps.chargeback.closing.models import MonthClose, StatementDocument
from apps.chargeback.models import PriceChange
from apps.chargeback.prices import actions as prices
from apps.common.decisions import Question, deciders
from apps.notices.models import Kind
from apps.notices.news import LATELY, News, outcomes, tell_asked, tell_news, tell_waiting


def price_title(change: PriceChange) -> str:
    """Return proposed prices in a line, as whoever decides reads it."""
    return f"New prices of {change.registered_model.name}"


def own_price_title(change: PriceChange) -> str:
    """Return proposed prices in a line, as whoever proposed them reads it."""
    return f"Your prices of {change.registered_model.name}"


def close_title(item: MonthClose) -> str:
    """Return a close in a line, as whoever decides reads it."""
    return f"Close {item.month:%B %Y}"


def own_close_title(item: MonthClose) -> str:
    """Return a close in a line, as whoever asked reads it."""
    return f"Your {item}"


def tell(*, now: datetime) -> int:
    """Tell of all that; return how many notices."""
    proposed = PriceChange.objects.select_related("registered_model", "requested_by")
    decided = (PriceChange.Status.PUBLISHED, PriceChange.Status.REJECTED)
    lately = proposed.filter(decided_at__gte=now - LATELY, status__in=decided)
    closes = MonthClose.objects.select_related("requested_by")
    ended = closes.filter(
        decided_at__gte=now - LATELY,
        status__in=(MonthClose.Status.CLOSED, MonthClose.Status.REJECTED),
    )
    ask_prices: _Sort = ("prices", price_title, PUBLISHES_PRICES, prices.question)
    ask_closes: _Sort = ("close", close_title, CLOSES_MONTHS, closing.question)
    path = PriceChange.get_absolute_url
    news = [
        *outcomes("prices", lately, title=own_price_title, path=path),
        *outcomes("close", ended, title=own_close_title, path=MonthClose.get_absolute_url),
        *_unmade(now),
        *bills.restated(now),
    ]
    return (
        _tell_asked(proposed.pending(), ask_prices, now)
        + _tell_asked(closes.pending(), ask_closes, now)
        + tell_waiting(bills.REFUSED, bills.refused(), now=now)
        + tell_news(news, now=now)
    )


# the keys' prefix, the line, the roles that may decide, the rule of who does
_Sort = tuple[str, Callable[[Any], str], tuple[str, ...], Callable[[Any, User], Question]]


def _tell_asked(rows: Iterable[Any], sort: _Sort, now: datetime) -> int:
    prefix, title, roles, question = sort

    def people(row: Any) -> list[User]:
        return deciders(holders(*roles), partial(question, row))

    path = methodcaller("get_absolute_url")
    return tell_asked(prefix, rows, title=title, path=path, people=people, now=now)


def _unmade(now: datetime) -> Iterator[News]:
    """Yield the statements that could not be made as PDFs."""
    rows = StatementDocument.objects.filter(
        status=StatementDocument.Status.FAILED, observed_at__gte=now - LATELY
    )
    for row in rows.select_related("statement"):
        yield News(
            key=f"statement-document:{row.pk}:{row.attempts}",
            kind=Kind.MONTH,
            title=f"Statement {row.statement.number} could not be made as a PDF",
            path=row.statement.get_absolute_url(),
            people=partial(holders, *MENDS_DOCUMENTS),
        )
