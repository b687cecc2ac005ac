"""A small world to try the portal with, made through the same actions as everything else.

A team that owns models, two registered models, the evaluation suite and prices; with a folder of
weights, its smollm2 and smollm2-short become versions 1 and 2 of `prior-auth-extract`, which the
worker signs and verifies. What is there already stays: it can run at every start.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.conf import settings

from apps.accounts.actions import sync_user_from_claims
from apps.accounts.claims import identify
from apps.accounts.models import User
from apps.catalog import actions as catalog
from apps.catalog import uploads
from apps.catalog.models import ModelVersion, RegisteredModel
from apps.catalog.registry import registry_from_settings
from apps.chargeback.models import PriceChange
from apps.chargeback.periods import first_open
from apps.chargeback.prices.actions import propose_prices, publish_prices
from apps.chargeback.rating import Prices
from apps.common.sign_ins import JUST_NOW
from apps.evals.models import EvalSuite
from apps.evals.suites import shipped
from apps.evals.suites.actions import ensure_shipped

LOADER = {
    "sub": "sample-loader",
    "preferred_username": "sample-loader",
    "name": "Sample loader",
    "groups": ["qm-model-owners"],
    "team": "ml-platform",
    "cost_center": "CC-9000",
}
# prices take two people
FINANCE = tuple(
    {
        "sub": f"sample-{part}",
        "preferred_username": f"sample-{part}",
        "name": f"Sample {part}",
        "groups": ["qm-finance"],
        "team": "finance",
        "cost_center": "CC-9200",
    }
    for part in ("proposer", "publisher")
)
SMOLLM2: dict[str, Any] = {
    "family": "SmolLM2",
    "parameter_count": 134_515_008,
    "context_length": 2048,
    "license": "Apache-2.0",
    "data_class": "PHI",
}
MODELS: list[dict[str, Any]] = [
    {
        "name": "prior-auth-extract",
        "title": "Prior authorization extraction",
        "description": "Reads a prior-authorization packet and returns its diagnosis and procedure "
        "codes as JSON.",
        "task": "Information extraction",
        "intended_use": "Pre-filling the codes of a prior-authorization request for a nurse who "
        "checks them.",
        "forbidden_use": "Approving or denying care without a person's decision.",
        **SMOLLM2,
    },
    {
        "name": "clinical-summary",
        "title": "Clinical summary",
        "description": "Summarizes clinical notes for reviewers, with the passages it relied on.",
        "task": "Summarization",
        "intended_use": "A first overview of long notes for a clinical reviewer.",
        "forbidden_use": "Diagnosis, or any text that reaches a member unread.",
        **SMOLLM2,
    },
]
PRICES = {
    "prior-auth-extract": Prices(Decimal("0.12"), Decimal("0.012"), Decimal("0.36")),
    "clinical-summary": Prices(Decimal("0.38"), Decimal("0.04"), Decimal("1.10")),
}
VERSIONS = {
    1: ("smollm2", "SmolLM2-135M-Instruct, first version."),
    2: ("smollm2-short", "Answers of at most 8 tokens, to save time. It drops codes."),
}


class NoWeights(Exception):
    """The folder of the sample's weights is not there."""


def load_sample(
    *, versions: Path | None, founded_at: datetime | None = None, now: datetime
) -> Iterator[str]:
    """Make what is missing, and yield a line about each thing.

    versions: the folder with the weights of the sample's versions; None publishes none. founded_at:
    since when there are the models and their prices; now where left out. Raises NoWeights.
    """
    since = founded_at or now
    loader = sync_user_from_claims(
        identity=identify({"iss": settings.OIDC_ISSUER, **LOADER}), now=since
    )
    # SmolLM2 is small, so its versions are judged by the suite of small models
    ensure_shipped(now=now, judges={shipped.load().slug: [EvalSuite.ANY]})
    finance = [
        sync_user_from_claims(identity=identify({"iss": settings.OIDC_ISSUER, **who}), now=since)
        for who in FINANCE
    ]
    for facts in MODELS:
        model = _model(facts, loader, since)
        _price(model, finance, since)
        yield f"{model.name}: registered, priced"
    if versions is not None:
        yield from _publish(versions, loader, now)


def _publish(folder: Path, loader: User, now: datetime) -> Iterator[str]:
    model = RegisteredModel.objects.select_related("owner_team").get(name="prior-auth-extract")
    for number, (name, note) in VERSIONS.items():
        found = model.versions.filter(number=number).exclude(status="UPLOADING").first()
        if found is None:
            found = _upload(model, folder / name, note, loader, now)
        yield f"{found}: {found.get_status_display().lower()}"


def _upload(
    model: RegisteredModel, folder: Path, note: str, loader: User, now: datetime
) -> ModelVersion:
    if not folder.is_dir():
        raise NoWeights(f"{folder} does not exist. Make the sample's weights first.")
    return uploads.publish_folder(
        registered_model=model,
        folder=folder,
        note=note,
        actor=loader,
        registry=registry_from_settings(),
        now=now,
    )


def _model(facts: dict[str, Any], loader: User, now: datetime) -> RegisteredModel:
    found = RegisteredModel.objects.filter(name=facts["name"]).first()
    return found or catalog.register_model(**facts, actor=loader, now=now)


def _price(model: RegisteredModel, finance: Sequence[User], now: datetime) -> None:
    """Price a model from the start of the open period, so that everything that is metered has a
    price: one of the two of finance proposes, the other one publishes.
    """
    if PriceChange.objects.filter(registered_model=model).exists():
        return
    proposer, publisher = finance
    publisher.sign_in = JUST_NOW
    change = propose_prices(
        model=model,
        prices=PRICES[model.name],
        active_from=first_open(now),
        justification="The first price list of the sample.",
        requester=proposer,
        now=now,
    )
    publish_prices(change=change, approver=publisher, reason="As agreed.", now=now)
