"""What the pages of requests for new models say, from loaded rows. Formats, never decides."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.urls import reverse

from apps.catalog.facts.words import NOT_KNOWN, count_words, size_words
from apps.catalog.intake.filters import IntakeFilters
from apps.catalog.intake.models import ModelIntake
from apps.catalog.models import DataClass
from apps.catalog.sizing.fits import Answer, Load
from apps.catalog.sizing.shapes import Shape
from apps.common.badges import Badge
from apps.common.counts import counted
from apps.common.decisions import decided_facts
from apps.common.money import NO_PRICE, usd
from apps.common.tables.columns import Column, Empty, Table

Fact = tuple[str, object]
BADGES = {
    "PENDING": Badge("warn", "clock", "Waiting for a decision"),
    "APPROVED": Badge("ok", "circle-check", "Approved and registered"),
    "REJECTED": Badge("bad", "ban", "Rejected"),
    "WITHDRAWN": Badge("idle", "undo-2", "Withdrawn"),
}


def badge(request: ModelIntake) -> Badge:
    """Return how far a request is."""
    return BADGES[request.status]


def load_of(request: ModelIntake) -> Load:
    """Return the expected work."""
    return Load(**request.load)


def load_words(load: Load) -> str:
    """Return the expected work in a line."""
    who = (
        f"{load.rate:g} requests a second"
        if load.rate is not None
        else f"{counted(load.callers or 1, 'caller')} at once"
    )
    goals = [
        f"first token within {load.ttft_ms:,.0f} ms" if load.ttft_ms else "",
        f"each further within {load.itl_ms:,.0f} ms" if load.itl_ms else "",
    ]
    asked = "; ".join(goal for goal in goals if goal)
    words = f"{load.prompt:,} tokens in, {load.answer:,} out, {who}"
    return f"{words}; {asked}" if asked else words


def facts(request: ModelIntake, shape: Shape) -> list[Fact]:
    """Return what is asked for; what nobody has read from files yet is as the requester states."""
    where: object = (
        {"text": request.source, "url": request.source}
        if request.source.startswith("https://")
        else request.source
    )
    context = f"{shape.context:,} tokens" if shape.context else NOT_KNOWN
    return [
        ("Called as", {"text": request.name, "mono": True}),
        ("License", request.license),
        ("Source", where),
        ("Revision", request.revision or "none named"),
        ("Parameters", f"{count_words(request.parameter_count)}, as its publisher states"),
        ("Weights", f"{size_words(request.weight_bytes)}, as its publisher states"),
        ("Architecture", shape.architecture or NOT_KNOWN),
        ("Context", context),
        ("Most sensitive data", DataClass(request.data_class).label),
        ("Owner", f"Team {request.owner_team.name}"),
        ("Expected work", load_words(load_of(request))),
        ("Cost when it was asked", estimate_words(request.estimate)),
        ("Why", request.justification),
        ("Asked by", f"{request.requested_by} ({request.requested_by.username})"),
        *decided_facts(request),
    ]


def estimate_of(answer: Answer | None) -> dict[str, Any]:
    """Return the cheapest way as a request keeps it: plain JSON; {} where none serves the work."""
    if answer is None or not answer.fits:
        return {}
    best = answer.fits[0]
    return {
        "machine": best.machine.name,
        "machines": best.machines,
        "replicas": best.replicas,
        "gpus_a_replica": best.ways,
        "usd_per_hour": None if best.usd is None else str(best.usd),
        "usd_per_million_tokens": None if best.million_usd is None else str(best.million_usd),
        "is_measured": best.pace is not None,
    }


def estimate_words(estimate: Mapping[str, Any]) -> str:
    """Return a kept estimate in a line."""
    if not estimate:
        return "not known: nothing was found that serves it"
    price = f"{usd_text(estimate['usd_per_hour'])} an hour"
    speed = "" if estimate["is_measured"] else "; by memory alone, its speed was not known"
    return f"{price} on {estimate['machines']} × {estimate['machine']}{speed}"


def usd_text(text: str | None) -> str:
    """Return a kept amount of money as people read it."""
    return NO_PRICE if text is None else usd(Decimal(text))


REQUESTS = Table(
    name="new-models",
    noun=("request", "requests"),
    columns=(
        Column(
            "model",
            "Model",
            "name",
            sort="name",
            sub="title",
            url=lambda request: reverse("catalog:intake_detail", args=[request.pk]),
            place="name",
        ),
        Column("state", "State", badge, kind="badge", sort="status", csv="status", place="figure"),
        Column("license", "License", "license", sort="license"),
        Column(
            "size",
            "Weights",
            lambda request: size_words(request.weight_bytes),
            sort="weight_bytes",
            csv="weight_bytes",
            css="nowrap",
        ),
        Column("owner", "Owner", "owner_team.name", sort="owner_team__name"),
        Column("by", "Asked by", "requested_by.name", sort="requested_by__name", css="nowrap"),
        Column("asked", "Asked", "requested_at", kind="time", sort="requested_at", css="nowrap"),
        Column(
            "decided",
            "Decided",
            "decided_at",
            kind="time",
            sort="decided_at",
            unknown="not yet",
            optional=True,
        ),
    ),
    search=("name", "title", "family", "license", "requested_by__name"),
    search_words="Model, license or person",
    filters=IntakeFilters,
    order="-asked",
    empty=Empty(
        "Nobody has asked for a new model yet",
        "Whoever needs an open-weight model that is not in the catalog asks for it here.",
        icon="boxes",
    ),
)
