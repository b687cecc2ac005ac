"""What a team's expected work comes to at the model's real price, and what a grant was used for:
the figures that requests for access are asked, decided and kept with.

Prices and usage stand above apps/access, so they are read here and handed down to it.
"""

from datetime import datetime, timedelta
from decimal import Decimal
from math import ceil

from apps.access import work as works
from apps.access.models import AccessRequest, Grant
from apps.access.work import Estimate, Measured, Needs, Seen, Use, Work
from apps.accounts.models import Team
from apps.catalog.models import RegisteredModel
from apps.chargeback import queries
from apps.chargeback.prices.words import price_words
from apps.chargeback.rating import Prices, list_cost_usd
from apps.common.periods import DAY, day_of, start_of_day
from apps.fleet.simulated import stand_in_versions
from apps.metering.queries import CallSums, call_sums

LOOKED_BACK = timedelta(days=28)
ENOUGH_CALLS = 100  # of a team's own, so that their mean says something


def measured(model: RegisteredModel, team: Team | None, now: datetime) -> Measured | None:
    """Return how many tokens a call of a model took on average, in the whole days of the last four
    weeks: of the team's own calls where there are enough, else of all teams'. None where nobody
    called it; three queries at most.

    Whole days, so that the same is seen all day long.
    """
    until = start_of_day(day_of(now))
    period = {"since": until - LOOKED_BACK, "until": until}
    if team is not None:
        own = call_sums(model=model.name, team=team.slug, **period)
        if own.calls >= ENOUGH_CALLS:
            return _mean(own, until, of_team=True)
    everybody = call_sums(model=model.name, team=None, **period)
    return _mean(everybody, until, of_team=False) if everybody.calls else None


def _mean(found: CallSums, until: datetime, *, of_team: bool) -> Measured:
    return Measured(
        calls=found.calls,
        input_tokens=ceil(found.input_tokens / found.calls),
        output_tokens=ceil(found.output_tokens / found.calls),
        first=day_of(until - LOOKED_BACK),
        last=day_of(until - DAY),
        of_team=of_team,
        simulated=bool(stand_in_versions(found.versions)),
    )


def estimate(model: RegisteredModel, team: Team | None, work: Work, now: datetime) -> Estimate:
    """Return what a team's expected work with a model comes to by what is known at a moment; four
    queries at most.
    """
    page = works.page_of(work, measured(model, team, now))
    prices = queries.prices_at(model, now)
    needs = works.needs_of(work, page) if page else None
    words = price_words(prices)
    return Estimate(
        work=work,
        page=page,
        needs=needs,
        prices=prices.as_text if prices else {},
        prices_words=words.main if words else "",
        monthly_usd=_cost(needs, prices) if needs and prices else None,
        seen_at=now,
    )


def _cost(needs: Needs, prices: Prices) -> Decimal | None:
    """Return what a month costs; what a model reads for embeddings has a price of its own."""
    tokens = needs.input_tokens_a_month
    embeds = prices.input is None and prices.embedding_input is not None
    return list_cost_usd(
        input_tokens=tokens,
        cached_input_tokens=0,
        embedding_input_tokens=tokens if embeds else 0,
        output_tokens=needs.output_tokens_a_month,
        prices=prices,
    )


def again(asked: AccessRequest, now: datetime) -> Estimate | None:
    """Return what a request's expected work comes to at a moment; None where it told none."""
    if asked.expected is None:
        return None
    work = works.estimate_of(asked.expected).work
    return estimate(asked.registered_model, asked.team, work, now)


def seen_of(asked: AccessRequest, now: datetime) -> Seen:
    """Return what lies before whoever decides about a request, at a moment."""
    use = use_of(asked.renews, now) if asked.renews else None
    return Seen(expected=again(asked, now), use=use)


def use_of(grant: Grant, now: datetime) -> Use:
    """Return what a grant was used for since it began; three queries. Nothing priced of something
    used is not known, which is not 0.
    """
    used = queries.use_of(grant, now).all
    is_unknown = bool(used.unpriced_words) and not used.list_cost_usd
    return Use(
        since=grant.active_from,
        until=min(grant.ended_at, now),
        metered_calls=used.metered_calls,
        unmetered_calls=used.unmetered_calls,
        refused_calls=used.refused_calls,
        failed_calls=used.failed_calls,
        input_tokens=used.input_tokens,
        output_tokens=used.output_tokens,
        list_cost_usd=None if is_unknown else used.list_cost_usd,
        unpriced=used.unpriced_words,
    )
