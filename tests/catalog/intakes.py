"""Requests for new models, as people make them."""

from apps.catalog.intake import actions
from apps.catalog.intake.actions import Wish
from apps.catalog.sizing.fits import Load
from tests.catalog import configs
from tests.factories import NOW

LOAD = Load(2000, 200, callers=8, ttft_ms=1000.0, itl_ms=50.0)
WISH = Wish(
    name="llama-31-8b",
    title="Llama 3.1 8B",
    description="Answers questions about policies.",
    task="Question answering",
    family="Llama 3.1",
    license="llama3.1",
    data_class="INTERNAL",
    source="https://models.example/llama-3.1-8b",
    revision="a1b2c3",
    parameter_count=8_030_261_248,
    weight_bytes=16_060_522_496,
    config=configs.LLAMA_8B,
    justification="Nothing in the catalog answers in Spanish.",
)


def ask(requester, owner_team, *, now=NOW, load=LOAD, **more):
    """Return a request that waits for a decision."""
    return actions.request_model(
        wish=Wish(**{**vars(WISH), **more}),
        load=load,
        owner_team=owner_team,
        requester=requester,
        now=now,
    )
