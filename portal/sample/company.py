"""Meridian Health, the company of the sample year: an invented health insurer, its teams, cost
centers, models and machines. Pure facts; calls.py and machines.py make days of them.

The year is the thirteen months that end with the load. All times are UTC: the offices are open from
12:00 to 22:00, nights begin at 04:00.
"""

from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from uuid import NAMESPACE_URL, uuid5

from apps.catalog.models import DataClass
from apps.chargeback.rating import Prices
from apps.common.periods import DAY, day_of, month_of, months_before, start_of_day
from apps.manifests.capacity import ON_DEMAND, SPOT
from apps.metering.access_log import PATHS
from apps.metering.models import Operation

NAME = "Meridian Health"
SEED = "meridian-health-1"
MONTHS = 13
PEOPLE_PER_TEAM = 6


@dataclass(frozen=True)
class Person:
    """Somebody who signs in. group: what the identity provider says of them."""

    username: str
    name: str
    group: str
    team: str
    cost_center: str

    @property
    def asks_for_models(self) -> bool:
        """Tell whether they may ask for a model in the name of their team."""
        return self.group in ("qm-team-leads", "qm-model-owners")

    @property
    def subject(self) -> str:
        """Return the claim `sub`, as the local identity provider makes it for its people: whoever
        signs in as one of them here is the one of the sample.
        """
        return str(uuid5(NAMESPACE_URL, f"urn:quartermaster:persona:{self.username}"))

    def claims(self, issuer: str) -> dict[str, object]:
        """Return what a sign-in says of them."""
        return {
            "iss": issuer,
            "sub": self.subject,
            "preferred_username": self.username,
            "name": self.name,
            "groups": [self.group],
            "team": self.team,
            "cost_center": self.cost_center,
        }


@dataclass(frozen=True)
class Team:
    """A team and who pays for it. users: the subjects of its programs and people, opaque."""

    slug: str
    cost_center: str
    users: tuple[str, ...] = ()


@dataclass(frozen=True)
class Shift:
    """When machines of one kind serve a model: in [first_hour, last_hour) of the given weekdays
    (0 is Monday), or always, on machines that are replaced every week, for 0 to 24.
    """

    instance_type: str
    capacity_type: str
    first_hour: int = 0
    last_hour: int = 24
    replicas: int = 1
    weekdays: frozenset[int] = frozenset(range(7))

    @property
    def is_always(self) -> bool:
        """Tell whether it never ends."""
        return (self.first_hour, self.last_hour) == (0, 24) and len(self.weekdays) == 7


@dataclass(frozen=True)
class Model:
    """A model with its callers. calls: on a middling weekday. input_tokens, output_tokens: the
    median of a call. cached: which part of the input the engine still has. teams: slug → weight.
    later_version_after: days of the year after which version 2 answers, from the next Monday on.
    """

    name: str
    facts: dict[str, object]
    prices: Prices
    calls: int
    input_tokens: int
    output_tokens: int
    cached: float
    teams: dict[str, int]
    shifts: tuple[Shift, ...]
    tokens_per_second: int
    spread: float = 0.5
    later_version_after: int | None = None
    operation: Operation = Operation.CHAT

    @property
    def context(self) -> int:
        """Return how many tokens one call may have."""
        return int(str(self.facts["context_length"]))

    @property
    def path(self) -> str:
        """Return the path that it is called by."""
        return PATHS[str(self.operation)]

    @property
    def writes(self) -> bool:
        """Tell whether it answers in tokens."""
        return self.operation != Operation.EMBEDDING


@dataclass(frozen=True)
class Company:
    """A company and its year: [first_day, until). shortage: days on which no Spot machine could be
    bought, both included. price_change: the day from which prices.later hold.
    """

    name: str
    seed: str
    first_day: date
    until: datetime
    teams: tuple[Team, ...]
    models: tuple[Model, ...]
    shortage: tuple[date, date]
    price_change: date
    later_prices: dict[str, Prices] = field(default_factory=dict)

    @property
    def start(self) -> datetime:
        """Return the year's first moment."""
        return start_of_day(self.first_day)

    @property
    def days(self) -> list[date]:
        """Return its days, oldest first; the last one may be cut short."""
        last = day_of(self.until - timedelta(microseconds=1))
        return [self.first_day + place * DAY for place in range((last - self.first_day).days + 1)]

    def version_on(self, model: Model, day: date) -> str:
        """Return the version of a model that answers on a day, as calls carry it."""
        return f"{model.name}-v{2 if self._is_later(model, day) else 1}"

    def versions_of(self, model: Model) -> list[int]:
        """Return the numbers of its versions."""
        return [1] if model.later_version_after is None else [1, 2]

    def version_change(self, model: Model) -> date | None:
        """Return the Monday from which on version 2 answers."""
        if model.later_version_after is None:
            return None
        day = self.first_day + model.later_version_after * DAY
        return day + ((7 - day.weekday()) % 7) * DAY

    def _is_later(self, model: Model, day: date) -> bool:
        change = self.version_change(model)
        return change is not None and day >= change

    def is_short_of_spot(self, day: date) -> bool:
        """Tell whether no Spot machine could be bought on a day."""
        return self.shortage[0] <= day <= self.shortage[1]


def _team(slug: str, cost_center: str) -> Team:
    users = (
        str(uuid5(NAMESPACE_URL, f"{SEED}/{slug}/{place}")) for place in range(PEOPLE_PER_TEAM)
    )
    return Team(slug, cost_center, tuple(users))


TEAMS = tuple(
    _team(slug, cost_center)
    for slug, cost_center in (
        ("claims-review", "CC-4100"),
        ("claims-intake", "CC-4100"),
        ("payment-integrity", "CC-4100"),
        ("prior-auth", "CC-4200"),
        ("utilization-management", "CC-4200"),
        ("appeals", "CC-4300"),
        ("care-management", "CC-4300"),
        ("member-services", "CC-5100"),
        ("provider-network", "CC-5200"),
        ("ml-platform", "CC-9000"),
        ("platform", "CC-9000"),
        ("model-risk", "CC-9100"),
        ("finance", "CC-9200"),
        ("audit", "CC-9300"),
    )
)
# Of each team one who may ask for models; many are the people of the local stack.
PEOPLE = tuple(
    Person(username, name, group, team, cost_center)
    for username, name, group, team, cost_center in (
        ("maya", "Maya Okafor", "qm-team-leads", "claims-review", "CC-4100"),
        ("ines", "Ines Duarte", "qm-team-leads", "claims-intake", "CC-4100"),
        ("tomas", "Tomas Vrana", "qm-team-leads", "payment-integrity", "CC-4100"),
        ("liam", "Liam Brandt", "qm-team-leads", "prior-auth", "CC-4200"),
        ("hana", "Hana Sato", "qm-team-leads", "utilization-management", "CC-4200"),
        ("george", "George Addo", "qm-team-leads", "appeals", "CC-4300"),
        ("lucia", "Lucia Ferri", "qm-team-leads", "care-management", "CC-4300"),
        ("noah", "Noah Weiss", "qm-team-leads", "member-services", "CC-5100"),
        ("priya", "Priya Nair", "qm-team-leads", "provider-network", "CC-5200"),
        ("owen", "Owen Hale", "qm-model-owners", "ml-platform", "CC-9000"),
        ("orla", "Orla Quinn", "qm-model-owners", "ml-platform", "CC-9000"),
        ("pete", "Pete Lindqvist", "qm-platform", "platform", "CC-9000"),
        ("rita", "Rita Vance", "qm-reviewers", "model-risk", "CC-9100"),
        ("ravi", "Ravi Menon", "qm-reviewers", "model-risk", "CC-9100"),
        ("fiona", "Fiona Castle", "qm-finance", "finance", "CC-9200"),
        ("felix", "Felix Moreau", "qm-finance", "finance", "CC-9200"),
        ("aisha", "Aisha Rahman", "qm-auditors", "audit", "CC-9300"),
        ("jonas", "Jonas Keller", "qm-team-leads", "platform", "CC-9000"),
        ("mira", "Mira Jansen", "qm-team-leads", "model-risk", "CC-9100"),
        ("otto", "Otto Lind", "qm-team-leads", "finance", "CC-9200"),
        ("vera", "Vera Costa", "qm-team-leads", "audit", "CC-9300"),
    )
)

WORKDAYS = frozenset(range(5))
MONDAYS = frozenset({0})
L4, L40S, FOUR_L40S, H100 = "g6.xlarge", "g6e.xlarge", "g6e.12xlarge", "p5.4xlarge"
OFFICE = (12, 22)
NIGHT = (4, 9)


def _facts(
    title: str, task: str, family: str, parameters: int, context: int, **more: object
) -> dict[str, object]:
    return {
        "title": title,
        "task": task,
        "family": family,
        "parameter_count": parameters,
        "context_length": context,
        "data_class": DataClass.PHI,
        **more,
    }


def _prices(fresh: str, cached: str, output: str) -> Prices:
    return Prices(Decimal(fresh), Decimal(cached), Decimal(output))


LLAMA = "Llama 3.1 Community License"
SMOLLM2 = ("SmolLM2", 134_515_008, 2048)
LLAMA_8B = ("Llama 3.1", 8_030_261_248, 131_072)
MODELS = (
    Model(
        "prior-auth-extract",
        _facts(
            "Prior authorization extraction",
            "Information extraction",
            *SMOLLM2,
            license="Apache-2.0",
            description="Reads a prior-authorization packet and returns its diagnosis and "
            "procedure codes as JSON.",
            intended_use="Pre-filling the codes of a prior-authorization request for a nurse who "
            "checks them.",
            forbidden_use="Approving or denying care without a person's decision.",
        ),
        _prices("0.12", "0.012", "0.36"),
        calls=90,
        input_tokens=1_150,
        output_tokens=140,
        cached=0.3,
        teams={"prior-auth": 6, "utilization-management": 2, "model-risk": 1},
        shifts=(Shift(L4, ON_DEMAND),),
        tokens_per_second=300,
        spread=0.25,
    ),
    Model(
        "clinical-summary",
        _facts(
            "Clinical summary",
            "Summarization",
            *SMOLLM2,
            license="Apache-2.0",
            description="Summarizes clinical notes for reviewers, with the passages it relied on.",
            intended_use="A first overview of long notes for a clinical reviewer.",
            forbidden_use="Diagnosis, or any text that reaches a member unread.",
        ),
        _prices("0.38", "0.04", "1.10"),
        calls=60,
        input_tokens=1_300,
        output_tokens=220,
        cached=0.2,
        teams={"claims-review": 4, "care-management": 3, "utilization-management": 2},
        shifts=(Shift(L4, ON_DEMAND, *OFFICE, weekdays=WORKDAYS),),
        tokens_per_second=300,
        spread=0.2,
    ),
    Model(
        "claims-triage",
        _facts(
            "Claims triage",
            "Classification",
            *LLAMA_8B,
            license=LLAMA,
            description="Sorts incoming claims with their attachments by what a reviewer has to "
            "look at first.",
            intended_use="The order of the reviewers' queue.",
            forbidden_use="Denying a claim.",
        ),
        _prices("7.50", "0.75", "22.50"),
        calls=150,
        input_tokens=38_000,
        output_tokens=450,
        cached=0.35,
        teams={"claims-intake": 6, "claims-review": 4, "payment-integrity": 2},
        shifts=(
            Shift(H100, ON_DEMAND, *OFFICE, weekdays=WORKDAYS),
            Shift(H100, ON_DEMAND, 13, 18, weekdays=MONDAYS),
        ),
        tokens_per_second=120,
        later_version_after=150,
    ),
    Model(
        "chart-review",
        _facts(
            "Chart review",
            "Information extraction",
            *LLAMA_8B,
            license=LLAMA,
            description="Reads whole medical charts at night and lists findings with their pages.",
            intended_use="Preparing charts for a nurse's review in the morning.",
            forbidden_use="A medical decision without a clinician.",
        ),
        _prices("2.40", "0.24", "7.20"),
        calls=110,
        input_tokens=84_000,
        output_tokens=1_500,
        cached=0.1,
        teams={"utilization-management": 4, "care-management": 3, "appeals": 1},
        shifts=(Shift(H100, SPOT, *NIGHT),),
        tokens_per_second=100,
        spread=0.25,
    ),
    Model(
        "appeals-draft",
        _facts(
            "Appeals draft",
            "Drafting",
            "Llama 3.3",
            70_553_706_496,
            131_072,
            license="Llama 3.3 Community License",
            description="Drafts the answer to an appeal from its file, with the policy's passages.",
            intended_use="A draft that an appeals specialist finishes and signs.",
            forbidden_use="Sending a letter that nobody has read.",
        ),
        _prices("18.00", "1.80", "54.00"),
        calls=70,
        input_tokens=46_000,
        output_tokens=1_100,
        cached=0.4,
        teams={"appeals": 6, "claims-review": 1},
        shifts=(Shift(FOUR_L40S, ON_DEMAND, 13, 20, weekdays=WORKDAYS),),
        tokens_per_second=25,
        spread=0.35,
    ),
    Model(
        "member-chat",
        _facts(
            "Member chat",
            "Chat",
            "Qwen2.5",
            14_770_033_664,
            32_768,
            license="Apache-2.0",
            description="Helps member services answer questions about benefits while they talk.",
            intended_use="Suggestions to an employee, who answers.",
            forbidden_use="Talking to members directly.",
        ),
        _prices("12.00", "1.20", "36.00"),
        calls=120,
        input_tokens=7_500,
        output_tokens=260,
        cached=0.55,
        teams={"member-services": 7, "provider-network": 2},
        shifts=(Shift(L40S, ON_DEMAND, *OFFICE),),
        tokens_per_second=45,
        later_version_after=255,
    ),
    Model(
        "policy-search",
        _facts(
            "Policy search",
            "Embedding",
            "BGE-M3",
            567_754_752,
            8_192,
            license="MIT",
            data_class=DataClass.INTERNAL,
            description="Embeds policies and questions, so that the right paragraph is found.",
            intended_use="Search in the company's own policies.",
            forbidden_use="Storing member data in the index.",
        ),
        Prices(embedding_input=Decimal("4.00")),
        calls=70,
        input_tokens=3_600,
        output_tokens=0,
        cached=0.0,
        operation=Operation.EMBEDDING,
        teams={"member-services": 3, "provider-network": 3, "appeals": 2, "audit": 1},
        shifts=(Shift(L4, ON_DEMAND),),
        tokens_per_second=2_000,
    ),
    Model(
        "fraud-screen",
        _facts(
            "Fraud screen",
            "Classification",
            "Mistral 7B",
            7_248_023_552,
            32_768,
            license="Apache-2.0",
            description="Reads the day's claims at night and marks patterns for investigators.",
            intended_use="Choosing which claims an investigator reads.",
            forbidden_use="An accusation without an investigation.",
        ),
        _prices("2.00", "0.20", "6.00"),
        calls=90,
        input_tokens=17_000,
        output_tokens=180,
        cached=0.2,
        teams={"payment-integrity": 6, "finance": 1, "audit": 1},
        shifts=(Shift(L40S, SPOT, *NIGHT),),
        tokens_per_second=60,
        spread=0.35,
    ),
    # mis-sized: a whole H100, day and night, for what a small part of one could do
    Model(
        "formulary-qa",
        _facts(
            "Formulary questions",
            "Question answering",
            *LLAMA_8B,
            license=LLAMA,
            data_class=DataClass.INTERNAL,
            description="Answers questions about covered drugs from the formulary.",
            intended_use="Help for pharmacists and care managers.",
            forbidden_use="Advice to a member on what to take.",
        ),
        _prices("8.00", "0.80", "24.00"),
        calls=40,
        input_tokens=9_000,
        output_tokens=300,
        cached=0.5,
        teams={"care-management": 3, "provider-network": 2, "ml-platform": 1, "platform": 1},
        shifts=(Shift(H100, ON_DEMAND),),
        tokens_per_second=140,
    ),
)


def meridian(until: datetime) -> Company:
    """Return Meridian Health with the year that ends at a moment."""
    first_day = months_before(month_of(until), MONTHS - 1)
    shortage = months_before(month_of(until), 2) + 15 * DAY
    return Company(
        name=NAME,
        seed=SEED,
        first_day=first_day,
        until=until,
        teams=TEAMS,
        models=MODELS,
        shortage=(shortage, shortage + 2 * DAY),
        price_change=months_before(month_of(until), 5),
        later_prices={"claims-triage": _prices("8.40", "0.84", "25.20")},
    )


def enlarged(company: Company, *, teams: int, models: int) -> Company:
    """Return the same company with so many teams, each with a cost center that nine others share,
    and so many models, each called by ten of them: of the size that benches need.
    """
    many = tuple(_team(f"team-{place:04}", f"CC-{place // 10:04}") for place in range(teams))
    return replace(
        company,
        teams=many,
        models=tuple(_copy(company, many, place) for place in range(models)),
        later_prices={},
    )


def _copy(company: Company, teams: tuple[Team, ...], place: int) -> Model:
    """Return one of the models under a name of its own, with callers of its own."""
    model = company.models[place % len(company.models)]
    callers = {teams[(place * 7 + step * 13) % len(teams)].slug: 1 + step % 3 for step in range(10)}
    return replace(model, name=f"model-{place:03}", teams=callers)
