"""What the month's page says of its sums: the figures at its top, and what is in no amount."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.template.defaultfilters import pluralize

from apps.chargeback.models import COUNTS
from apps.chargeback.month.breakdown import Row
from apps.chargeback.month.machines import Machines
from apps.common.money import usd
from apps.metering.estimates import METHOD
from apps.metering.models import REFUSALS
from apps.metering.tables import calls_url

NOT_KNOWN = "not known"
# the codes that the ledger's lines have a column of; the others are told together
COUNTED_APART = tuple(code for code in REFUSALS if f"refused_{code}_calls" in COUNTS)


@dataclass(frozen=True)
class Stat:
    """A figure at the top. amount_usd: in place of `figure` where it is money."""

    label: str
    figure: str = ""
    amount_usd: Decimal | None = None
    unit: str = ""
    change: str = ""
    note: str = ""
    url: str = ""
    is_key: bool = False

    @property
    def is_money(self) -> bool:
        """Tell whether an amount is shown."""
        return self.amount_usd is not None


def equation(found: Machines, change: str) -> list[Stat]:
    """Return the total of the machines and its three terms; for a team, what its work took."""
    label = "Total, what the machines cost" if found.equation else "What your team's work cost"
    if found.total.total_usd is None or not found.is_something:
        return [Stat(label, figure=NOT_KNOWN, note=found.note, is_key=True)]
    total = Stat(label, amount_usd=found.total.total_usd, change=change, note=found.note,
                 is_key=True)  # fmt: skip
    terms = [
        Stat(f"{term.sign} {term.label}", amount_usd=term.amount_usd, unit=term.share,
             note=term.cause)
        for term in found.equation
    ]  # fmt: skip
    return [total, *terms]


def figures(
    whole: Row | None, found: Machines, change: str, links: Mapping[str, str]
) -> list[Stat]:
    """Return the figures beside the total. links: outcome → the month's calls of it."""
    metered = links["METERED"]
    if whole is None:
        return [Stat("Price list", figure=usd(Decimal(0)))]
    others = (whole.unmetered_calls, whole.refused_calls, whole.failed_calls)
    reranked = f"{whole.rerank_requests:,} rerank · " if whole.rerank_requests else ""
    return [
        Stat("Price list", figure="" if whole.list_usd is not None else "no price",
             amount_usd=whole.list_usd, change=change, url=metered),
        _margin(whole, found),
        Stat("GPU-hours", figure=f"{whole.gpu_hours:,.1f}", note=_per_million(found)),
        Stat("Tokens in", figure=f"{whole.input_tokens:,}", url=metered,
             note=_input_words(whole)),
        Stat("Tokens out", figure=f"{whole.output_tokens:,}", url=metered),
        Stat("Metered calls", figure=f"{whole.metered_calls:,}", url=metered,
             note=reranked + "{:,} unmetered · {:,} refused · {:,} failed".format(*others)),
    ]  # fmt: skip


def _input_words(whole: Row) -> str:
    """Return what the input tokens are made of."""
    cached = f"{whole.cached_input_tokens:,} of them cached"
    embedded = whole.embedding_input_tokens
    return f"{cached} · {embedded:,} embedded" if embedded else cached


def _margin(whole: Row, found: Machines) -> Stat:
    """Return what the price list brings beyond the real cost, or why nobody can say."""
    if not found.is_something:
        return Stat("Margin", figure=NOT_KNOWN, note="no machine was seen")
    if whole.margin_usd is None:
        missing = (
            (whole.unpriced_words, "some use has no price"),
            (whole.unpriced_gpu_hours, "some machines have no price"),
        )
        why = " · ".join(words for is_so, words in missing if is_so)
        return Stat("Margin", figure=NOT_KNOWN, note=why or "no machine has a price")
    note = "price list − real cost"
    if whole.list_usd:
        note = f"{note}: {whole.margin_usd / whole.list_usd:.1%} of it".replace("-", "−")
    return Stat("Margin", amount_usd=whole.margin_usd, note=note)


def _per_million(found: Machines) -> str:
    cost = found.total.usd_per_million
    return "" if cost is None else f"{usd(cost)} for a million tokens"


def notices(whole: Row | None) -> dict[str, str]:
    """Return what is in no amount, in words: use without a price, calls without usage."""
    unpriced = whole.unpriced_words if whole else ""
    unmetered = whole.unmetered_calls if whole else 0
    return {
        "unpriced": f"{unpriced}." if unpriced else "",
        "unmetered": f"{unmetered:,} call{pluralize(unmetered, ' is,s are')} unmetered."
        if unmetered
        else "",
    }


def estimated(whole: Row | None) -> str:
    """Return in words what is estimated of calls without usage; "" where nothing is."""
    if whole is None or not whole.estimated_calls:
        return ""
    tokens_in, tokens_out = whole.estimated_input_tokens, whole.estimated_output_tokens
    words = (
        f"Of {whole.estimated_calls:,} of them it is estimated ({METHOD}), by the gate or from the "
        f"engines' own counters: about {tokens_in:,} tokens in and {tokens_out:,} out."
    )
    unknown = whole.unknown_calls
    return f"{words} Of {unknown:,} nothing is known." if unknown else words


def cut(calls: int) -> str:
    """Return in words how many calls were charged up to where they were cut; "" where none was."""
    if not calls:
        return ""
    return f"{calls:,} call{pluralize(calls, ' was,s were')} cut off and counted up to there."


def estimates_priced(is_priced: bool, whole: Row | None) -> str:
    """Return whether what is estimated of a month is priced, in words."""
    if not is_priced or whole is None:
        return "They are not priced."
    if whole.estimated_usd is None:
        return "What is estimated is priced, but there is no price of it."
    return f"What is estimated is priced: {usd(whole.estimated_usd)} of the price list."


def quarantined(count: int) -> str:
    """Return how many records are in quarantine, in words; "" where none is."""
    return f"{count:,} record{pluralize(count, ' is,s are')} in quarantine." if count else ""


def links(start: datetime, end: datetime) -> dict[str, str]:
    """Return where the calls are that the month's figures are made of."""
    outcomes = ("METERED", "UNMETERED")
    return {outcome: calls_url(start=start, end=end, outcome=outcome) for outcome in outcomes}


def refusals(whole: Row | None, start: datetime, end: datetime) -> list[tuple[str, str]]:
    """Return the month's refused calls by response code: words and address; what none of the named
    codes answered last.
    """
    if whole is None:
        return []
    counts = {code: getattr(whole, f"refused_{code}_calls") for code in COUNTED_APART}
    found = [
        (f"{count:,} × {code} {REFUSALS[code]}", calls_url(start=start, end=end, code=code))
        for code, count in counts.items()
        if count
    ]
    if rest := whole.refused_calls - sum(counts.values()):
        url = calls_url(start=start, end=end, outcome="REFUSED")
        found.append((f"{rest:,} with another code", url))
    return found
