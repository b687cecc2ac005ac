"""A large company of the bench's size: its teams, models, prices, machines, budgets and grants, and
the calls of each of its days, written straight into Postgres.

A day's calls are made by one statement from a seed that is the day's own: the same size gives the
same calls whatever is loaded first. Calls come in bursts, as in a company: a team asks one of its
models several times in an hour. Mondays are busiest, and one hour of the last whole month is a
surge of a hundredth of all calls. Machines are there from that month on.
"""

import os
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import cached_property

MODELS_OF_A_TEAM = 4
CALLS_OF_A_BURST = 8  # on average
CARDS_OF_A_MACHINE = 8
COST_CENTERS = 90
BUDGETED_TEAMS = 200
DEARER_MODELS = 100  # whose prices changed in the last whole month
WEEKDAYS = (1.5, 1.25, 1.25, 1.2, 1.1, 0.4, 0.3)  # Monday first; they sum to seven
SURGE_HOUR = 9
# Only numbers of the size stand in the statement. What a call is comes from one random number.
CALLS = """
WITH bursts AS MATERIALIZED (
    SELECT burst, 1 + floor({teams} * random() ^ 2)::int AS team,
           floor({picks} * random() ^ 2)::int AS pick,
           1 + floor({longest} * random())::int AS calls,
           CASE WHEN burst <= {surge} THEN {surge_hour}
                WHEN random() < 0.8 THEN 8 + floor(10 * random())
                ELSE floor(24 * random()) END AS hour
    FROM generate_series(1, {bursts}) burst
), calls AS MATERIALIZED (
    SELECT burst, n, team, 1 + (team * 31 + pick * 127) % {models} AS model, hour,
           random() AS chance, random() AS at, random() AS size
    FROM bursts CROSS JOIN generate_series(1, calls) n
)
INSERT INTO metering_usageevent (event_id, occurred_at, received_at, received_via, outcome, team,
    cost_center, user_id, model, version, operation, route, response_code, response_flags,
    input_tokens, cached_input_tokens, output_tokens, duration_ms, ttft_ms, unmetered_because)
SELECT md5('{day} ' || burst || ' ' || n)::uuid, begun, begun + interval '20 seconds', 'OTLP',
       CASE WHEN chance < 0.95 THEN 'METERED' WHEN chance < 0.97 THEN 'REFUSED'
            WHEN chance < 0.98 THEN 'FAILED' ELSE 'UNMETERED' END,
       'squad-' || team, 'CC-' || team % {cost_centers}, '00u' || team, 'model-' || model,
       CASE WHEN chance < 0.95 OR chance >= 0.97 THEN 'model-' || model || '-v1' ELSE '' END,
       'CHAT',
       'httproute/models/model-' || model || '/rule/0',
       CASE WHEN chance < 0.95 THEN 200 WHEN chance < 0.97 THEN 429 WHEN chance < 0.98 THEN 503
            ELSE 200 END,
       '-', CASE WHEN chance < 0.95 THEN 1 + floor(3000 * size) END,
       CASE WHEN chance < 0.9 THEN floor(1000 * size) END,
       CASE WHEN chance < 0.95 THEN 1 + floor(600 * size * size) END,
       CASE WHEN chance < 0.95 OR chance >= 0.97 THEN 200 + floor(4000 * size)::int END,
       CASE WHEN chance < 0.95 THEN 40 + 80 * size END,
       CASE WHEN chance >= 0.98 THEN 'CLIENT_LEFT' ELSE '' END
FROM (SELECT *, '{day} 00:00Z'::timestamptz + (hour + at) * interval '1 hour' AS begun FROM calls) c
WHERE begun < '{until}'::timestamptz
"""


@dataclass(frozen=True)
class Size:
    """How large the company is, over whole months that end with the one of `today`."""

    events: int
    months: int
    teams: int
    models: int
    today: date

    @classmethod
    def asked(cls, today: date) -> "Size":
        """Return the size that the environment asks for."""
        wanted = (("EVENTS", 10_000_000), ("MONTHS", 13), ("TEAMS", 1500), ("MODELS", 500))
        return cls(*(int(os.environ.get(name) or usual) for name, usual in wanted), today)

    @property
    def words(self) -> str:
        """Return it in words."""
        return (
            f"{self.events:,} calls over {self.months} months, "
            f"{self.teams:,} teams, {self.models:,} models"
        )

    @cached_property
    def all_months(self) -> list[date]:
        """Return the first days of its months, oldest first; the last one is not over."""
        from apps.common.periods import month_of, months_before, start_of_day

        last = month_of(start_of_day(self.today))
        return [months_before(last, back) for back in reversed(range(self.months))]

    @property
    def last_whole(self) -> date:
        """Return the last month that is over."""
        return self.all_months[-2]

    def days_of(self, month: date) -> list[date]:
        """Return a month's days until today."""
        from apps.common.periods import next_month

        last = min(next_month(month), self.today + timedelta(days=1))
        return [month + timedelta(days=place) for place in range((last - month).days)]

    @cached_property
    def surge(self) -> date:
        """Return the day of the surge: the second Monday of the last whole month."""
        return [day for day in self.days_of(self.last_whole) if day.weekday() == 0][1]

    @cached_property
    def _weight(self) -> float:
        return sum(
            WEEKDAYS[day.weekday()] for month in self.all_months for day in self.days_of(month)
        )

    def statement(self, day: date, until: datetime) -> str:
        """Return what stores the calls of a day that began before `until`."""
        share = WEEKDAYS[day.weekday()] / self._weight
        surge = self.events // 100 // CALLS_OF_A_BURST if day == self.surge else 0
        usual = int(0.99 * self.events * share / CALLS_OF_A_BURST)
        return CALLS.format(
            day=day.isoformat(),
            until=until.isoformat(),
            teams=self.teams,
            models=self.models,
            picks=MODELS_OF_A_TEAM,
            longest=2 * CALLS_OF_A_BURST - 1,
            surge=surge,
            surge_hour=SURGE_HOUR,
            bursts=usual + surge,
            cost_centers=COST_CENTERS,
        )


def store_calls(size: Size, day: date, until: datetime) -> None:
    """Store the calls of a day that began before `until`."""
    from django.db import connection

    from apps.metering.days import make_days

    make_days({day})
    with connection.cursor() as cursor:
        cursor.execute("SELECT setseed(%s)", [(day.toordinal() % 1000) / 1000])
        cursor.execute(size.statement(day, until))


def found(size: Size) -> None:
    """Make everything about the company but its calls."""
    from apps.common.periods import start_of_day

    begin = start_of_day(size.all_months[0])
    models = _names(size, begin)
    _prices(size, models, begin)
    _machines(size, start_of_day(size.last_whole))
    _budgets(size)
    _grants(size)


def _names(size: Size, begin: datetime) -> list[object]:
    """Make teams and models with one version each; return the models."""
    from apps.accounts.models import CostCenter, Team
    from apps.catalog.models import ModelVersion, RegisteredModel
    from tests.factories import ModelVersionFactory, RegisteredModelFactory, TeamFactory

    centers = CostCenter.objects.bulk_create(
        [CostCenter(code=f"CC-{number}") for number in range(COST_CENTERS)]
    )
    teams = [
        TeamFactory.build(slug=f"squad-{number}", cost_center=centers[number % COST_CENTERS])
        for number in range(1, size.teams + 1)
    ]
    owner = Team.objects.bulk_create(teams)[0]
    made = RegisteredModel.objects.bulk_create(
        [
            RegisteredModelFactory.build(
                name=f"model-{number}", owner_team=owner, created_at=begin, context_length=32768
            )
            for number in range(1, size.models + 1)
        ]
    )
    by = _person("publisher of versions")
    ModelVersion.objects.bulk_create(
        [
            ModelVersionFactory.build(registered_model=model, number=1, created_by=by)
            for model in made
        ]
    )
    return list(made)


def _person(name: str) -> object:
    from tests.chargeback.pricing import finance

    return finance(name)


def _prices(size: Size, models: list[object], begin: datetime) -> None:
    """Give every model prices, and some of them other ones in the middle of the last month."""
    from apps.chargeback.rating import Prices
    from apps.common.periods import start_of_day
    from tests.chargeback.pricing import price

    dearer = start_of_day(size.last_whole) + timedelta(days=14, hours=11)
    for number, model in enumerate(models):
        usd = Decimal("0.10") + Decimal(number % 40) / 100
        price(model, Prices(usd, usd / 10, usd * 4), begin)
        if number < DEARER_MODELS:
            price(model, Prices(usd * 2, usd / 5, usd * 8), dearer)


def _machines(size: Size, begin: datetime) -> None:
    """Run a replica of each model from a moment on, eight on a machine."""
    from apps.fleet.models import NodeClaim, NodeInterval, Replica

    terms = {
        "instance_type": "p5.48xlarge",
        "capacity_type": "on-demand",
        "price_usd_per_hour": Decimal("55.04"),
        "price_basis": "contract of the bench",
    }
    seen = {"created_at": begin, "learned_at": begin}
    claims = NodeClaim.objects.bulk_create(
        [
            NodeClaim(uid=f"claim-{number}", name=f"gpu-{number}", node_name=f"node-{number}",
                      launched_at=begin, gpu_count=CARDS_OF_A_MACHINE, **seen, **terms)
            for number in range(-(-size.models // CARDS_OF_A_MACHINE))
        ]
    )  # fmt: skip
    NodeInterval.objects.bulk_create(
        [NodeInterval(node_claim=claim, started_at=begin, **terms) for claim in claims]
    )
    Replica.objects.bulk_create(
        [
            Replica(uid=f"pod-{number}", name=f"model-{number}-v1-0", namespace="models",
                    service=f"model-{number}-v1", model=f"model-{number}", gpu_count=1,
                    node_name=f"node-{(number - 1) // CARDS_OF_A_MACHINE}",
                    node_claim_name=f"gpu-{(number - 1) // CARDS_OF_A_MACHINE}",
                    ready_at=begin, is_ready=True, **seen)
            for number in range(1, size.models + 1)
        ]
    )  # fmt: skip


def _budgets(size: Size) -> None:
    """Give teams and cost centers budgets in dollars, and one team a grant."""
    from apps.access.budgets.actions import set_budget
    from apps.access.budgets.terms import Terms
    from apps.accounts.models import CostCenter, Team
    from apps.common.periods import start_of_day
    from apps.common.sign_ins import JUST_NOW

    actor, now = _person("budgets"), start_of_day(size.all_months[-1])
    actor.sign_in = JUST_NOW
    why = {"reason": "As planned for the year.", "actor": actor, "now": now, "unit": "USD"}
    for team in Team.objects.filter(slug__startswith="squad-").order_by("pk")[:BUDGETED_TEAMS]:
        set_budget(terms=Terms(Decimal(1000)), team=team, **why)
    for center in CostCenter.objects.filter(code__startswith="CC-"):
        set_budget(terms=Terms(Decimal(50_000)), cost_center=center, **why)


def _grants(size: Size) -> None:
    """Give each of a few teams its first model."""
    from apps.access.models import AccessRequest, Grant
    from apps.accounts.models import Team
    from apps.catalog.models import RegisteredModel
    from apps.common.periods import start_of_day

    begin = start_of_day(size.all_months[0])
    terms = {"tokens_per_minute": 10_000}
    by, owner = _person("asks for models"), _person("owns models")
    for number in range(1, 21):
        team = Team.objects.get(slug=f"squad-{number}")
        model = RegisteredModel.objects.get(name=f"model-{1 + number * 31 % size.models}")
        request = AccessRequest.objects.create(
            team=team, registered_model=model, requested_by=by, purpose="Reads letters.",
            data_class="PHI", monthly_budget_usd=100, status="APPROVED", requested_at=begin,
            expires_date=size.today + timedelta(days=60), decided_at=begin, decided_by=owner,
            **terms,
        )  # fmt: skip
        Grant.objects.create(
            request=request, team=team, registered_model=model, active_from=begin,
            active_to=begin + timedelta(days=500), **terms,
        )  # fmt: skip
