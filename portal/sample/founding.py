"""Founds the company of the sample year: its people sign in, its models are registered and
published, prices agreed, access and budgets given. Each through its own action, with the clock of
its day; what is there already stays.
"""

import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path

from django.conf import settings

from apps.access.actions import approve_request, submit_request
from apps.access.budgets.actions import approve_boost, request_boost, set_budget
from apps.access.budgets.models import Boost, Budget, Mode, Unit
from apps.access.budgets.terms import Terms
from apps.access.models import Grant
from apps.access.wishes import LONGEST_GRANT, Wish
from apps.access.work import Work
from apps.accounts.actions import sync_user_from_claims
from apps.accounts.claims import identify
from apps.accounts.models import CostCenter, Team, User
from apps.catalog.actions import register_model
from apps.catalog.models import ModelVersion, RegisteredModel
from apps.catalog.uploads import Registry, publish_folder
from apps.chargeback.models import PriceChange
from apps.chargeback.prices.actions import propose_prices, publish_prices
from apps.chargeback.rating import Prices
from apps.common.periods import DAY, HOUR, day_of, month_bounds, month_of, start_of_day
from apps.common.sign_ins import JUST_NOW
from apps.fleet.pricing.actions import Terms as MachineTerms
from apps.fleet.pricing.actions import set_price_override
from apps.fleet.pricing.models import PriceOverride
from apps.manifests.capacity import ON_DEMAND
from portal.pages.estimates import estimate
from portal.sample.catalog import H100, OFFICE, WORKDAYS, Model
from portal.sample.company import Company
from portal.sample.objectives import set_objectives
from portal.sample.people import PEOPLE

RENEWED_AHEAD = 30 * DAY
RENEWED_EARLY = {"policy-search": 95 * DAY}  # so long ago that an owner is late to look at it again
OPENS = 9 * HOUR  # when people are at work
# cost center → a month's budget in USD; care and appeals mostly come close to theirs
COST_CENTER_BUDGETS = {
    "CC-4100": Decimal(1600),
    "CC-4200": Decimal(600),
    "CC-4300": Decimal(1300),
    "CC-5100": Decimal(350),
    "CC-9000": Decimal(60),
}
# model → what each of its teams may spend a month
GRANT_BUDGETS = {
    "appeals-draft": Decimal(1200),
    "chart-review": Decimal(400),
    "claims-triage": Decimal(650),
    "clinical-summary": Decimal(5),
    "formulary-qa": Decimal(40),
    "fraud-screen": Decimal(90),
    "member-chat": Decimal(220),
    "policy-search": Decimal(20),
    "prior-auth-extract": Decimal(5),
}
BOOSTED = "CC-4300"
CONTRACT_USD = Decimal("6.05")
PLACEHOLDER = "Sample: four numbers in the place of weights. It answers nobody."


@dataclass(frozen=True)
class People:
    """The company's people by user name."""

    by_name: dict[str, User]

    def __getitem__(self, username: str) -> User:
        return self.by_name[username]

    def lead_of(self, team: str) -> User:
        """Return who asks for models in the name of a team."""
        found = (person for person in PEOPLE if person.team == team and person.asks_for_models)
        return self.by_name[next(found).username]


def sign_in_everybody(company: Company) -> People:
    """Let everybody of the company sign in on its first day; who has a team here keeps it."""
    found = {}
    for person in PEOPLE:
        identity = identify(person.claims(settings.OIDC_ISSUER))
        known = User.objects.filter(issuer=identity.issuer, subject=identity.subject)
        user = known.select_related("team").first()
        if user is None or user.team is None or user.team.slug != person.team:
            user = sync_user_from_claims(identity=identity, now=company.start)
        user.sign_in = JUST_NOW
        found[person.username] = user
    return People(found)


def publish_models(company: Company, people: People, registry: Registry, now: datetime) -> None:
    """Register the models of the company and publish the versions that are missing."""
    kept = replace(registry, retention=registry.retention + (now - company.start))
    for model in company.models:
        row = RegisteredModel.objects.filter(name=model.name).first() or register_model(
            name=model.name,
            **model.facts,  # type: ignore[arg-type]
            actor=people["owen"],
            now=company.start,
        )
        there = row.versions.exclude(status=ModelVersion.Status.UPLOADING)
        numbers = set(there.values_list("number", flat=True))
        for number in company.versions_of(model):
            if number not in numbers:
                _publish(row, number, people["owen"], kept, company.start)


def _publish(
    row: RegisteredModel, number: int, owner: User, registry: Registry, now: datetime
) -> None:
    """Publish a version without weights: what calls name has to be there."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "config.json").write_text(json.dumps({"model_type": "llama", "sample": number}))
        (folder / "model.safetensors").write_bytes(_tensor(number))
        publish_folder(
            registered_model=row,
            folder=folder,
            note=PLACEHOLDER,
            actor=owner,
            registry=registry,
            now=now,
        )


def _tensor(number: int) -> bytes:
    """Return a file of safetensors with one tensor of four values."""
    header = {"sample": {"dtype": "F16", "shape": [4], "data_offsets": [0, 8]}}
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + bytes([number, 0x3C]) * 4


def agree_on_prices(company: Company, people: People) -> None:
    """Price every model from the first day, and later ones from their day on; agree on a contract
    for the largest machines with it.
    """
    for model in company.models:
        _price(model, model.prices, company.start, company.start, people)
        later = company.later_prices.get(model.name)
        if later is not None:
            begins = start_of_day(company.price_change)
            _price(model, later, begins, begins - 6 * DAY + OPENS, people)
    begins = start_of_day(company.price_change)
    terms = MachineTerms(H100, ON_DEMAND, "us-east-1", usd_per_hour=CONTRACT_USD)
    if not PriceOverride.objects.filter(instance_type=H100, active_from=begins).exists():
        set_price_override(
            terms=terms,
            active_from=begins,
            active_to=None,
            reason="Sample: savings plan for one year of p5.4xlarge.",
            actor=people["fiona"],
            now=begins - DAY,
        )


def _price(model: Model, prices: Prices, begins: datetime, now: datetime, people: People) -> None:
    row = RegisteredModel.objects.get(name=model.name)
    if PriceChange.objects.filter(
        registered_model=row, active_from=begins, status=PriceChange.Status.PUBLISHED
    ).exists():
        return
    change = PriceChange.objects.pending().filter(registered_model=row).first() or propose_prices(
        model=row,
        prices=prices,
        active_from=begins,
        justification="From what its machines cost, with the usual margin.",
        requester=people["fiona"],
        now=now,
    )
    publish_prices(change=change, approver=people["felix"], reason="As agreed.", now=now + HOUR)


def give_access(company: Company, people: People) -> None:
    """Let every team ask for the models that it calls, and ask again before its access ends."""
    for model in company.models:
        row = RegisteredModel.objects.select_related("owner_team").get(name=model.name)
        for slug in model.teams:
            team = Team.objects.get(slug=slug)
            work = _work(model, slug)
            if not Grant.objects.filter(registered_model=row, team=team).exists():
                _grant(row, team, people, company.start + OPENS, work, renews=None)
            ahead = RENEWED_EARLY.get(model.name, RENEWED_AHEAD)
            renewal = company.start + LONGEST_GRANT - ahead + OPENS
            grant = Grant.objects.active(renewal).filter(registered_model=row, team=team).first()
            if grant and renewal < company.until and grant.active_from < renewal:
                _grant(row, team, people, renewal, work, renews=grant)


def _work(model: Model, team: str) -> Work:
    """Return what a team expects to do with a model: its share of the calls, one page each."""
    share = model.calls * model.teams[team] / sum(model.teams.values())
    opens, closes = OFFICE
    return Work(
        packets_a_day=max(1, round(share)),
        pages_a_packet=1,
        hours_a_day=closes - opens,
        days_a_week=len(WORKDAYS),
        input_tokens_a_page=model.input_tokens,
        output_tokens_a_page=model.output_tokens if model.writes else 0,
    )


def _grant(
    model: RegisteredModel,
    team: Team,
    people: People,
    now: datetime,
    work: Work,
    *,
    renews: Grant | None,
) -> None:
    asks = people.lead_of(team.slug)
    wish = Wish(
        purpose=f"Sample: {model.title.lower()} in the daily work of {team.name}.",
        data_class=model.data_class,
        tokens_per_minute=2_000_000,
        monthly_budget_usd=GRANT_BUDGETS[model.name],
        expires_date=day_of(now + LONGEST_GRANT) - DAY,
    )
    # no use is kept with a renewal: the year's calls come after everybody has their access
    request = submit_request(
        model=model,
        wish=wish,
        requester=asks,
        now=now,
        renews=renews,
        expected=estimate(model, team, work, now),
    )
    approver = people["orla"] if asks == people["owen"] else people["owen"]
    approve_request(
        request=request, approver=approver, reason="Within its intended use.", now=now + HOUR
    )


def set_budgets(company: Company, people: People) -> None:
    """Give cost centers their budgets; one of them has more until the end of the open month."""
    for code, amount in COST_CENTER_BUDGETS.items():
        center = CostCenter.objects.get(code=code)
        if not Budget.objects.filter(cost_center=center, unit=Unit.USD).exists():
            set_budget(
                cost_center=center,
                unit=Unit.USD,
                terms=Terms(amount, mode=Mode.SOFT, thresholds=(50, 80, 100)),
                reason="Sample: the plan of the year.",
                actor=people["fiona"],
                now=company.start + OPENS,
            )
    _boost(company, people)


def _boost(company: Company, people: People) -> None:
    budget = Budget.objects.active(company.until).filter(cost_center__code=BOOSTED).first()
    opens, ends = month_bounds(month_of(company.until - timedelta(microseconds=1)))
    asked = opens + OPENS
    if budget is None or Boost.objects.filter(budget=budget).exists() or asked > company.until:
        return
    boost = request_boost(
        budget=budget,
        amount=Decimal(300),
        last_day=day_of(ends - timedelta(microseconds=1)),
        reason="Sample: open enrollment brings more appeals than planned.",
        requester=people["pete"],
        now=asked,
    )
    approve_boost(
        request=boost, approver=people["fiona"], reason="For this month.", now=asked + HOUR
    )


def found(company: Company, registry: Registry, now: datetime) -> Iterator[str]:
    """Do all of it, and yield a line about each step. now: the real time, that locks in S3 count
    from.
    """
    people = sign_in_everybody(company)
    yield f"{len(people.by_name)} people of {len(company.teams)} teams have signed in"
    publish_models(company, people, registry, now)
    agree_on_prices(company, people)
    yield f"{len(company.models)} models are registered, published and priced"
    give_access(company, people)
    set_budgets(company, people)
    set_objectives(company, people["owen"])
    yield "access, budgets and objectives are given"
