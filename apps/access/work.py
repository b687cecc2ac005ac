"""What a team expects to do with a model, what that comes to, and what it has done: figures that
lie before whoever decides, and are kept as they were seen. Pure.

Prices and usage stand above this app: portal/pages/estimates.py reads them and hands the results in
here. What nobody knows is None, and said so; it is never 0.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime
from decimal import Decimal
from math import ceil
from typing import Any

from apps.common.canonical import digest_of, plain
from apps.common.counts import counted
from apps.common.money import exact
from apps.common.periods import HOURS_PER_DAY, HOURS_PER_MONTH, day_words

MOST_PACKETS, MOST_PAGES, MOST_TOKENS = 10_000_000, 10_000, 1_000_000
BUSIEST = 2  # a team's busiest minute takes so many times its average one
ROUNDED_TO = 100  # tokens a minute
NOT_MEASURED = "Nobody has called this model lately, so nothing is measured: say it."
DAYS_PER_MONTH = HOURS_PER_MONTH / HOURS_PER_DAY


@dataclass(frozen=True)
class Work:
    """What a team expects to do: packets of pages, in so many hours of so many days.

    The tokens of a page are what the team states; None for both: as measured.
    """

    packets_a_day: int
    pages_a_packet: int
    hours_a_day: int
    days_a_week: int
    input_tokens_a_page: int | None = None
    output_tokens_a_page: int | None = None

    @property
    def is_stated(self) -> bool:
        """Tell whether the team states the tokens of a page."""
        return None not in (self.input_tokens_a_page, self.output_tokens_a_page)

    @property
    def words(self) -> str:
        """Return "1,200 packets of 8 pages a day, in 10 hours of 5 days a week"."""
        packets = counted(self.packets_a_day, "packet")
        pages = counted(self.pages_a_packet, "page")
        hours, days = counted(self.hours_a_day, "hour"), counted(self.days_a_week, "day")
        return f"{packets} of {pages} a day, in {hours} of {days} a week"


@dataclass(frozen=True)
class Measured:
    """How many tokens a call of a model took on average, in the days from first to last.

    of_team: in the calls of the team that asks alone. simulated: an engine that plays a model
    counted them.
    """

    calls: int
    input_tokens: int
    output_tokens: int
    first: date
    last: date
    of_team: bool
    simulated: bool = False

    @property
    def words(self) -> str:
        """Return what was measured: "12,345 calls of all teams, 30 Oct 2026 to 26 Nov 2026"."""
        whose = "of the team" if self.of_team else "of all teams"
        played = ", by an engine that plays the model" if self.simulated else ""
        days = f"{day_words(self.first)} to {day_words(self.last)}"
        return f"{counted(self.calls, 'call')} {whose}, {days}{played}"


@dataclass(frozen=True)
class Page:
    """How many tokens a page takes. measured: None where the team states them."""

    input_tokens: int
    output_tokens: int
    measured: Measured | None

    @property
    def words(self) -> str:
        """Return the tokens and where they come from."""
        tokens = f"{self.input_tokens:,} tokens read and {self.output_tokens:,} written"
        if self.measured is None:
            return f"{tokens}, stated by the team"
        return f"{tokens}, as an average call ({self.measured.words})"


def problems(work: Mapping[str, Any], *, is_measured: bool) -> dict[str, str]:
    """Return what is wrong with expected work: the field and a sentence for each.

    work: values by the names of Work, of the right types; a name that is missing is not judged.
    is_measured: whether the tokens of a page are known without stating them.
    """
    bounds = {
        "packets_a_day": MOST_PACKETS,
        "pages_a_packet": MOST_PAGES,
        "hours_a_day": 24,
        "days_a_week": 7,
    }
    found = {
        name: f"Give 1 to {most:,}."
        for name, most in bounds.items()
        if name in work and not 1 <= work[name] <= most
    }
    return found | _tokens_problems(work, is_measured)


def _tokens_problems(work: Mapping[str, Any], is_measured: bool) -> dict[str, str]:
    names = ("input_tokens_a_page", "output_tokens_a_page")
    if not all(name in work for name in names):
        return {}
    stated = {name: work[name] for name in names if work[name] is not None}
    if not stated and not is_measured:
        return dict.fromkeys(names, NOT_MEASURED)
    if len(stated) == 1:
        (missing,) = set(names) - set(stated)
        return {missing: "State both, or neither."}
    found = {
        name: f"Give 0 to {MOST_TOKENS:,}."
        for name, tokens in stated.items()
        if not 0 <= tokens <= MOST_TOKENS
    }
    if stated and not found and not any(stated.values()):
        return {"input_tokens_a_page": "A page takes at least one token."}
    return found


def page_of(work: Work, measured: Measured | None) -> Page | None:
    """Return how many tokens a page takes: as stated, else as measured; None where neither is."""
    if work.input_tokens_a_page is not None and work.output_tokens_a_page is not None:
        return Page(work.input_tokens_a_page, work.output_tokens_a_page, None)
    if measured is None:
        return None
    return Page(measured.input_tokens, measured.output_tokens, measured)


@dataclass(frozen=True)
class Needs:
    """What expected work takes. tokens_per_minute: in its busiest minutes, both ways."""

    tokens_per_minute: int
    input_tokens_a_month: int
    output_tokens_a_month: int


def needs_of(work: Work, page: Page) -> Needs:
    """Return what expected work takes, rounded up; a month is a twelfth of a year."""
    pages_a_day = work.packets_a_day * work.pages_a_packet
    tokens_a_day = pages_a_day * (page.input_tokens + page.output_tokens)
    busiest = Decimal(tokens_a_day * BUSIEST) / (work.hours_a_day * 60)
    pages_a_month = pages_a_day * work.days_a_week * DAYS_PER_MONTH / 7
    return Needs(
        tokens_per_minute=ceil(busiest / ROUNDED_TO) * ROUNDED_TO,
        input_tokens_a_month=ceil(pages_a_month * page.input_tokens),
        output_tokens_a_month=ceil(pages_a_month * page.output_tokens),
    )


@dataclass(frozen=True)
class Estimate:
    """What expected work comes to, as it was seen at a moment.

    page, needs: None where nobody knows how many tokens a page takes. prices: SKU → USD for its
    unit, as decimal text, and prices_words the same for people: of that moment, empty where the
    model has none. monthly_usd: by them, exact, without a discount for cached tokens; None where
    something of it has no price.
    """

    work: Work
    page: Page | None
    needs: Needs | None
    prices: Mapping[str, str]
    prices_words: str
    monthly_usd: Decimal | None
    seen_at: datetime

    @property
    def digest(self) -> str:
        """Return the digest of the figures, whenever they are seen: the same while none of them
        changes.
        """
        told = {name: value for name, value in as_data(self).items() if name != "seen_at"}
        return digest_of(plain(told))


def as_data(estimate: Estimate) -> dict[str, Any]:
    """Return an estimate as JSON that keeps every digit."""
    data = asdict(estimate)
    measured = data["page"] and data["page"]["measured"]
    if measured:
        data["page"]["measured"] = measured | {
            name: measured[name].isoformat() for name in ("first", "last")
        }
    usd = estimate.monthly_usd
    return data | {
        "prices": dict(estimate.prices),
        "monthly_usd": None if usd is None else exact(usd),
        "seen_at": estimate.seen_at.isoformat(),
    }


def estimate_of(data: Mapping[str, Any]) -> Estimate:
    """Return the estimate that as_data wrote."""
    usd = data["monthly_usd"]
    return Estimate(
        work=Work(**data["work"]),
        page=_page(data["page"]) if data["page"] else None,
        needs=Needs(**data["needs"]) if data["needs"] else None,
        prices=data["prices"],
        prices_words=data["prices_words"],
        monthly_usd=None if usd is None else Decimal(usd),
        seen_at=datetime.fromisoformat(data["seen_at"]),
    )


def _page(data: Mapping[str, Any]) -> Page:
    told = data["measured"]
    if told is None:
        return Page(**data)
    days = {name: date.fromisoformat(told[name]) for name in ("first", "last")}
    return Page(data["input_tokens"], data["output_tokens"], Measured(**{**told, **days}))


@dataclass(frozen=True)
class Use:
    """What a grant was used for in [since, until). list_cost_usd: of what has a price, exact; None
    where nothing of it has. unpriced: what has none, in words.
    """

    since: datetime
    until: datetime
    metered_calls: int
    unmetered_calls: int
    refused_calls: int
    failed_calls: int
    input_tokens: int
    output_tokens: int
    list_cost_usd: Decimal | None
    unpriced: str

    @property
    def is_none(self) -> bool:
        """Tell whether nobody called the model with it."""
        calls = (self.metered_calls, self.unmetered_calls, self.refused_calls, self.failed_calls)
        return not any(calls)


@dataclass(frozen=True)
class Seen:
    """What lies before whoever decides, at that moment: the expected work by the prices of then,
    and what the grant to be renewed was used for until then. None: not told, nothing to renew.
    """

    expected: Estimate | None
    use: Use | None


def seen_as_data(seen: Seen) -> dict[str, Any]:
    """Return what was seen as JSON that keeps every digit."""
    return {
        "expected": as_data(seen.expected) if seen.expected else None,
        "use": use_as_data(seen.use) if seen.use else None,
    }


def seen_of_data(data: Mapping[str, Any]) -> Seen:
    """Return what seen_as_data wrote."""
    expected, use = data["expected"], data["use"]
    return Seen(
        expected=estimate_of(expected) if expected else None,
        use=use_of_data(use) if use else None,
    )


def use_as_data(use: Use) -> dict[str, Any]:
    """Return a use as JSON that keeps every digit."""
    usd = use.list_cost_usd
    return asdict(use) | {
        "since": use.since.isoformat(),
        "until": use.until.isoformat(),
        "list_cost_usd": None if usd is None else exact(usd),
    }


def use_of_data(data: Mapping[str, Any]) -> Use:
    """Return the use that use_as_data wrote."""
    usd = data["list_cost_usd"]
    told = {
        "since": datetime.fromisoformat(data["since"]),
        "until": datetime.fromisoformat(data["until"]),
        "list_cost_usd": None if usd is None else Decimal(usd),
    }
    return Use(**{**data, **told})
