"""The pages of what the gateway does: routes, limits and drift, as the portal declares them and as
they were read back. Read from rows; what is out there, the worker looks at.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import Http404
from django.http.response import HttpResponseBase
from django.urls import reverse
from django.utils.timezone import now
from django.views.decorators.http import require_GET

from apps.access.budgets.models import Budget
from apps.access.budgets.queries import of_grants
from apps.access.models import Grant
from apps.accounts.requests import SignedIn
from apps.catalog.models import RegisteredModel
from apps.chargeback.month.words import Stat
from apps.common.badges import Badge
from apps.common.tables.reading import respond
from apps.gateway.effective import declared
from apps.gateway.effective.compare import Declared, shares
from apps.gateway.effective.models import (
    SETTLES_WITHIN,
    GatewayDrift,
    GatewayLook,
    RouteReading,
)
from apps.gateway.effective.words import gate_badge, problem_of, state_badge
from apps.oversight.figures import figures
from portal.pages.gateway import overview_tables as tables
from portal.pages.gateway.whose import sees_all


@dataclass(frozen=True)
class RouteLine:
    """A model's route: as declared, as the cluster has it, as Envoy does it. cluster, envoy: None
    where that was not read. teams: how many may call it, by the portal.
    """

    model: RegisteredModel
    says: Declared
    reading: RouteReading | None
    differences: Sequence[GatewayDrift]
    problem: str
    moment: datetime

    @property
    def declared(self) -> str:
        """Return whom its callers are sent to."""
        return shares(self.says.weights)

    @property
    def cluster(self) -> str | None:
        """Return the same as the cluster has it."""
        found = self.reading.cluster if self.reading else None
        return shares(found["weights"]) if found is not None else None

    @property
    def envoy(self) -> str | None:
        """Return the same as Envoy does it."""
        found = self.reading.envoy if self.reading else None
        return shares(found.get("weights", {})) if found is not None else None

    @property
    def teams(self) -> int:
        """Return how many teams may call it."""
        return len(self.says.limits)

    @property
    def classes(self) -> str:
        """Return which classes of calls have a rule of their own, as Envoy has them."""
        found = (self.reading.envoy if self.reading else None) or {}
        return ", ".join(found.get("classes", ()))

    @property
    def state(self) -> Badge:
        """Return whether all of it agrees."""
        settled = [d for d in self.differences if self.moment - d.since >= SETTLES_WITHIN]
        places = sorted({d.get_place_display() for d in settled or self.differences})
        return state_badge(places, is_settling=not settled, problem=self.problem)


@dataclass(frozen=True)
class LimitLine:
    """What a team may use of a model: its grant, its budget, and what the gateway makes of it."""

    grant: Grant
    budget: Budget | None
    reading: RouteReading | None
    differences: Sequence[GatewayDrift]
    problem: str
    moment: datetime

    @property
    def cluster(self) -> int | None:
        """Return its tokens per minute as the cluster has them; None: it has none, or was not
        read.
        """
        found = self.reading.limit_of(self.grant.team.slug) if self.reading else None
        return int(found) if found is not None else None

    @property
    def envoy(self) -> str | None:
        """Return whether Envoy lets it in and counts its tokens; None where it was not read."""
        found = self.reading.envoy if self.reading else None
        if found is None:
            return None
        team = self.grant.team.slug
        if team not in found.get("teams", ()):
            return "not let in"
        return "let in, counted" if team in found.get("limited", ()) else "let in, not counted"

    state = RouteLine.state


# -- Views -----------------------------------------------------------------------------------------
@require_GET
def routes(request: SignedIn) -> HttpResponseBase:
    """List the routes of all models: declared, in the cluster, in Envoy."""
    moment = now()
    look, problem = _look(moment)
    table = tables.routes(partial(route_lines, problem=problem, moment=moment))
    context = _head(request, look, moment)
    return respond(table, request, routed(moment), "gateway/routes.html", context)


@require_GET
def limits(request: SignedIn) -> HttpResponseBase:
    """List what each team may use of each model: one's own team's, of one's own models, or all."""
    moment = now()
    look, problem = _look(moment)
    rows = Grant.objects.active(moment).visible_to(request.user)
    differs = GatewayDrift.objects.present().filter(
        registered_model=OuterRef("registered_model"), subject=OuterRef("team__slug")
    )
    rows = rows.annotate(differs=Exists(differs)).select_related("team", "registered_model")
    table = tables.limits(partial(_limit_lines, problem=problem, moment=moment))
    context = _head(request, look, moment)
    return respond(table, request, rows, "gateway/limits.html", context)


@require_GET
def drift(request: SignedIn) -> HttpResponseBase:
    """List what the gateway does otherwise than the portal says, and since when; for those who
    oversee.
    """
    if not sees_all(request.user):
        raise Http404("Drift names the teams of others.")
    moment = now()
    look, _ = _look(moment)
    rows = GatewayDrift.objects.visible_to(request.user).select_related("registered_model")
    if "past" not in request.GET:
        rows = rows.present()
    context = _head(request, look, moment) | {
        "is_past": "past" in request.GET,
        "figures": figures(moment),
    }
    return respond(tables.drift(moment), request, rows, "gateway/drift.html", context)


def _look(moment: datetime) -> tuple[GatewayLook | None, str]:
    """Return the last look, and what is not known as of now, in a sentence."""
    look = GatewayLook.objects.first()
    found = dict.fromkeys(text for text in problem_of(look, moment) if text)
    return look, " ".join(found)


def _head(request: SignedIn, look: GatewayLook | None, moment: datetime) -> dict[str, Any]:
    """Return what stands above each of these pages."""
    cluster, envoy = problem_of(look, moment)
    overseen = sees_all(request.user)
    return {
        "look": look,
        "cluster_problem": cluster,
        "envoy_problem": envoy,
        "gate": gate_badge(look),
        "sees_all": overseen,
        "stats": _stats(look, moment) if overseen else [],
    }


def _stats(look: GatewayLook | None, moment: datetime) -> list[Stat]:
    """Return how much differs; two queries."""
    present = GatewayDrift.objects.present()
    settled = present.filter(since__lte=moment - SETTLES_WITHIN).count()
    settling = present.count() - settled
    note = f"{settling:,} more settling" if settling else "nothing is settling"
    known = look is not None and (look.cluster_read_at or look.envoy_read_at)
    return [
        Stat("Differences", figure=f"{settled:,}" if known else "not read",
             note=note if known else "", is_key=True, url=reverse("gateway:drift")),
    ]  # fmt: skip


# -- Rows ------------------------------------------------------------------------------------------
def routed(moment: datetime) -> QuerySet[RegisteredModel]:
    """Return the models that callers are sent to, that somebody may call, or that were read."""
    granted = Exists(Grant.objects.active(moment).filter(registered_model=OuterRef("pk")))
    read = Exists(RouteReading.objects.filter(registered_model=OuterRef("pk")))
    differs = GatewayDrift.objects.present().filter(registered_model=OuterRef("pk"))
    rows = RegisteredModel.objects.annotate(differs=Exists(differs))
    return rows.filter(Q(granted) | Q(read)).select_related("owner_team")


def route_lines(
    models: Sequence[RegisteredModel], problem: str, moment: datetime
) -> list[RouteLine]:
    """Return models with their routes; four queries, however many. problem: of places not read."""
    says = declared.of_models(models, moment)
    readings = _readings(model.pk for model in models)
    differences = _differences([model.pk for model in models])
    return [
        RouteLine(
            model, says[model.pk], readings.get(model.pk), differences[model.pk], problem, moment
        )
        for model in models
    ]


def _limit_lines(grants: Sequence[Grant], problem: str, moment: datetime) -> list[LimitLine]:
    keys = {grant.registered_model_id for grant in grants}
    budgets, readings = of_grants(grants, moment), _readings(keys)
    differences = _differences(list(keys))
    return [
        LimitLine(
            grant,
            budgets.get(grant.pk),
            readings.get(grant.registered_model_id),
            [
                each
                for each in differences[grant.registered_model_id]
                if each.subject == grant.team.slug
            ],
            problem,
            moment,
        )
        for grant in grants
    ]


def _readings(keys: Any) -> dict[int, RouteReading]:
    rows = RouteReading.objects.filter(registered_model__in=list(keys))
    return {row.registered_model_id: row for row in rows}


def _differences(keys: Sequence[int]) -> defaultdict[int, list[GatewayDrift]]:
    found: defaultdict[int, list[GatewayDrift]] = defaultdict(list)
    for row in GatewayDrift.objects.present().filter(registered_model__in=keys):
        found[row.registered_model_id].append(row)
    return found
