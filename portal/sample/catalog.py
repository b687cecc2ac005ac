"""The models of the sample's company: what they are, what their tokens cost, who calls them how
much, and when which machines serve them. Pure facts.
"""

from dataclasses import dataclass
from decimal import Decimal

from apps.catalog.models import DataClass
from apps.chargeback.rating import Prices
from apps.manifests.capacity import ON_DEMAND, SPOT
from apps.metering.access_log import PATHS
from apps.metering.models import Operation


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


def token_prices(fresh: str, cached: str, output: str) -> Prices:
    """Return prices of a million tokens, in USD."""
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
        token_prices("0.12", "0.012", "0.36"),
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
        token_prices("0.38", "0.04", "1.10"),
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
        token_prices("7.50", "0.75", "22.50"),
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
        token_prices("2.40", "0.24", "7.20"),
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
        token_prices("18.00", "1.80", "54.00"),
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
        token_prices("12.00", "1.20", "36.00"),
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
        token_prices("2.00", "0.20", "6.00"),
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
        token_prices("8.00", "0.80", "24.00"),
        calls=40,
        input_tokens=9_000,
        output_tokens=300,
        cached=0.5,
        teams={"care-management": 3, "provider-network": 2, "ml-platform": 1, "platform": 1},
        shifts=(Shift(H100, ON_DEMAND),),
        tokens_per_second=140,
    ),
)
