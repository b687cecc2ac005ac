"""The list of promotions as a table: declarations, and what one line says."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from django.urls import reverse, reverse_lazy

from apps.common.badges import Badge
from apps.common.tables.columns import Column, Empty, Table
from apps.evals.pages import figure
from apps.promotions import serving, stages
from apps.promotions.filters import PromotionFilters
from apps.promotions.models import Promotion, Rollout


@dataclass(frozen=True)
class PromotionLine:
    """A promotion, its newest rollout, and what that rollout does now; None without one."""

    promotion: Promotion
    rollout: Rollout | None
    rollout_badge: Badge | None

    @property
    def url(self) -> str:
        """Return the address of the dossier."""
        return reverse("promotions:promotion_detail", args=[self.promotion.pk])

    @property
    def rollout_url(self) -> str:
        """Return the address of the rollout; "" without one."""
        if self.rollout is None:
            return ""
        return reverse("promotions:rollout_detail", args=[self.rollout.pk])

    @property
    def badge(self) -> Badge:
        """Return its stage."""
        return stages.badge_of(self.promotion)

    @property
    def stage(self) -> str:
        """Return its stage as programs name it."""
        return str(stages.stage_of(self.promotion))

    @property
    def version(self) -> str:
        """Return the version's number as people write it."""
        return f"v{self.promotion.model_version.number}"

    @property
    def baseline(self) -> str | None:
        """Return what it takes over from; None where nothing serves."""
        baseline = self.promotion.baseline
        return f"v{baseline.number}" if baseline else None

    @property
    def f1(self) -> float | None:
        """Return the F1 of its evaluation; None without one."""
        value: float | None = self.promotion.eval_run.metrics.get("f1")
        return value

    @property
    def f1_words(self) -> str | None:
        """Return the F1 as people read it."""
        return None if self.f1 is None else figure("f1", self.f1)


def lines(promotions: Sequence[Promotion], now: datetime) -> list[PromotionLine]:
    """Return the promotions with their newest rollouts' states, asked once for all of them.

    promotions: with their rollouts, approvals and changes prefetched.
    """
    newest = [(promotion, promotion.newest_rollout()) for promotion in promotions]
    states = serving.rollout_states([rollout for _, rollout in newest if rollout], now)
    return [
        PromotionLine(promotion, rollout, states[rollout.pk].badge if rollout else None)
        for promotion, rollout in newest
    ]


def promotions(now: datetime) -> Table:
    """Return the table of promotions, with what their rollouts do at a moment. Its rows are
    with_version_name() and stages.with_stage.
    """
    return Table(
        name="promotions",
        noun=("promotion", "promotions"),
        columns=(
            Column("id", "Promotion", lambda line: str(line.promotion.pk)[:8], kind="mono",
                   url=lambda line: line.url, csv="promotion.pk", csv_head="id", optional=True),
            Column("model", "Model", "promotion.registered_model.name",
                   sort=("registered_model__name", "model_version__number"),
                   url=lambda line: line.url, csv_head="model", place="name"),
            Column("version", "Version", sort="model_version__number", csv_head="version"),
            Column("baseline", "Instead of", sort="baseline__number", unknown="nothing",
                   csv_head="baseline", css="nowrap"),
            Column("state", "State", "badge", kind="badge", sort="stage", csv="stage",
                   csv_head="stage", place="figure", css="nowrap"),
            Column("rollout", "Rollout", "rollout_badge", kind="badge",
                   url=lambda line: line.rollout_url, csv="rollout.status", csv_head="rollout",
                   css="nowrap"),
            Column("f1", "F1 of codes", "f1_words", sort="eval_run__metrics__f1", csv="f1",
                   csv_head="f1", css="num"),
            Column("by", "Proposed by", "promotion.requested_by.name", sort="requested_by__name",
                   csv="promotion.requested_by.username", csv_head="requested_by", css="nowrap"),
            Column("asked", "Proposed", "promotion.requested_at", kind="time", sort="requested_at",
                   csv_head="requested_at", css="nowrap"),
            Column("decided", "Decided", "promotion.decided_at", kind="time", sort="decided_at",
                   csv_head="decided_at", unknown="not yet", optional=True, at_first=False,
                   css="nowrap"),
        ),
        search=("registered_model__name", "requested_by__name", "version_name__iexact"),
        search_words="Model, version or person",
        filters=PromotionFilters,
        order="-asked",
        empty=Empty(
            "No promotions yet",
            "A model owner proposes a version from its page, after an evaluation run that met "
            "every threshold.",
            "Open the catalog",
            reverse_lazy("catalog:model_list"),
            "git-pull-request-arrow",
        ),
        with_facts=partial(lines, now=now),
    )  # fmt: skip
