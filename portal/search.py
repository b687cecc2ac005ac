"""The search of the top bar: whatever has a page, by name, by id, or by the eight characters of an
id or a commit that pages print.
"""

import re
import uuid
from dataclasses import dataclass
from urllib.parse import urlencode

from django.db.models import Case, F, IntegerField, Q, Value, When
from django.urls import reverse

from apps.access.models import AccessRequest, Grant
from apps.accounts.models import Team, User
from apps.accounts.roles import OVERSEES_PROMPTS, SEES_EVERY_TEAM, SEES_FLEET
from apps.capacity.models import CapacityRequest
from apps.catalog.models import ModelVersion, RegisteredModel
from apps.evals.models import EvalRun
from apps.fleet.models import Node, NodeClaim, Replica
from apps.gateway.guard.models import GuardrailChange
from apps.incidents.models import Episode
from apps.metering import store
from apps.promotions.changes.models import ChangeRecord
from apps.promotions.models import Promotion, Rollout, RolloutCommit
from apps.prompts.erasures.models import ErasureRequest
from apps.prompts.holds.models import LegalHold
from apps.prompts.rules.models import RetentionChange
from portal.context import sections_for

SHOWN = 6
_ID_START = re.compile(r"^[0-9a-f]{8,32}$")  # pages print the first eight
_SHA_START = re.compile(r"^[0-9a-f]{7,40}$")


@dataclass(frozen=True)
class Hit:
    """One line of the results."""

    title: str
    detail: str
    url: str
    icon: str


def find(user: User, text: str) -> list[tuple[str, list[Hit]]]:
    """Return the hits in groups, best first; one query a group, eighteen at most. Nothing
    the person may not see.
    """
    text = text.strip()[:100]
    if not text:
        return [("Go to", _pages(user, ""))]
    groups = [
        ("Models", _models(user, text)),
        ("Versions", _versions(user, text)),
        ("Promotions", _promotions(user, text)),
        ("Rollouts", _rollouts(user, text)),
        ("Incidents", _incidents(user, text)),
        ("Evaluations", _runs(user, text)),
        ("Access", [*_requests(user, text), *_grants(user, text)]),
        ("Capacity", _capacity(user, text)),
        ("Calls", _calls(user, text)),
        ("Guard rules", _guardrails(user, text)),
        *([("Prompt record", _prompts(user, text))] if user.has_role(*OVERSEES_PROMPTS) else []),
        *(_fleet(text) if user.has_role(*SEES_FLEET) else []),
        ("Teams", _teams(user, text)),
        ("Go to", _pages(user, text)),
    ]
    return [(name, hits) for name, hits in groups if hits]


def _pages(user: User, text: str) -> list[Hit]:
    lines = [line["section"] for line in sections_for(user, "/")]
    return [
        Hit(section.label, "Page", section.url, section.icon)  # type: ignore[attr-defined]
        for section in lines
        if text.lower() in section.label.lower()  # type: ignore[attr-defined]
    ]


def _models(user: User, text: str) -> list[Hit]:
    starts = Case(
        When(name__istartswith=text, then=Value(0)), default=Value(1), output_field=IntegerField()
    )
    found = RegisteredModel.objects.visible_to(user).filter(
        Q(name__icontains=text) | Q(title__icontains=text)
    )
    return [
        Hit(item.name, item.title, reverse("catalog:model_detail", args=(item.name,)), "box")
        for item in found.order_by(starts, "name")[:SHOWN]
    ]


def _versions(user: User, text: str) -> list[Hit]:
    """Find by `<model>-v<n>`, "v3" after a model's name, or the manifest's digest."""
    name, _, number = text.replace(" v", "-v").rpartition("-v")
    wanted = Q(manifest_digest__startswith=text) | Q(
        manifest_digest__startswith=f"sha256:{text.lower()}"
    )
    if name and number.isdecimal() and len(number) < 7:
        wanted |= Q(registered_model__name__icontains=name.strip(), number=int(number))
    elif len(text) >= 3:
        wanted |= Q(registered_model__name__istartswith=text)
    models = RegisteredModel.objects.visible_to(user)
    found = ModelVersion.objects.filter(wanted, registered_model__in=models).select_related(
        "registered_model"
    )
    rows = found.order_by("registered_model__name", "-number")[:SHOWN]
    urls = [
        reverse("catalog:version_detail", args=(item.registered_model.name, item.number))
        for item in rows
    ]
    return [
        Hit(item.name, item.get_status_display(), url, "package")
        for item, url in zip(rows, urls, strict=True)
    ]


def _has_id(text: str) -> Q:
    """Return the condition that a row's UUID is this one or begins like it; none where the text can
    be neither.
    """
    digits = text.lower().replace("-", "")
    if not _ID_START.match(digits):
        return Q(pk__in=[])
    first, last = uuid.UUID(digits.ljust(32, "0")), uuid.UUID(digits.ljust(32, "f"))
    return Q(pk__gte=first, pk__lte=last)


def _promotions(user: User, text: str) -> list[Hit]:
    """Find promotions by what they are of, who asked, id, or the number of their change."""
    wanted = Q(registered_model__name__icontains=text) | Q(requested_by__name__icontains=text)
    changes = ChangeRecord.objects.filter(number__iexact=text)
    wanted |= Q(pk__in=changes.values("promotion"))
    found = Promotion.objects.visible_to(user).filter(_has_id(text) | wanted)
    return [
        Hit(
            f"{item.model_version.name} → production",
            f"{item.get_status_display()} · {item.requested_by.name}",
            reverse("promotions:promotion_detail", args=(item.pk,)),
            "git-pull-request-arrow",
        )
        for item in found.select_related("model_version__registered_model", "requested_by")[:SHOWN]
    ]


def _rollouts(user: User, text: str) -> list[Hit]:
    """Find rollouts by id, or by a commit of theirs."""
    wanted = _has_id(text)
    if _SHA_START.match(text.lower()):
        commits = RolloutCommit.objects.filter(sha__startswith=text.lower())
        wanted |= Q(pk__in=commits.values("rollout"))
    seen = Rollout.objects.filter(promotion__in=Promotion.objects.visible_to(user))
    return [
        Hit(
            f"Rollout of {item.model_version.name}",
            item.get_status_display(),
            reverse("promotions:rollout_detail", args=(item.pk,)),
            "rocket",
        )
        for item in seen.filter(wanted).select_related("model_version__registered_model")[:SHOWN]
    ]


def _incidents(user: User, text: str) -> list[Hit]:
    """Find incidents by id, by their model, or by their number in ServiceNow."""
    wanted = Q(number__iexact=text) | Q(model_version__registered_model__name__iexact=text)
    found = Episode.objects.visible_to(user).filter(_has_id(text) | wanted)
    return [
        Hit(
            str(item),
            " · ".join(part for part in (item.get_status_display(), item.number) if part),
            reverse("incidents:episode_detail", args=(item.pk,)),
            "triangle-alert",
        )
        for item in found.select_related("model_version__registered_model")[:SHOWN]
    ]


def _runs(user: User, text: str) -> list[Hit]:
    found = EvalRun.objects.visible_to(user).filter(_has_id(text))
    return [
        Hit(
            f"Evaluation {str(item.pk)[:8]} of {item.model_version.name}",
            item.get_status_display(),
            reverse("evals:run_detail", args=(item.pk,)),
            "flask-conical",
        )
        for item in found.select_related("model_version__registered_model")[:SHOWN]
    ]


def _requests(user: User, text: str) -> list[Hit]:
    found = AccessRequest.objects.visible_to(user).filter(_has_id(text))
    return [
        Hit(
            f"{item.team.name} asks for {item.registered_model.name}",
            item.get_status_display(),
            reverse("access:request_detail", args=(item.pk,)),
            "key-round",
        )
        for item in found.select_related("team", "registered_model")[:SHOWN]
    ]


def _grants(user: User, text: str) -> list[Hit]:
    found = Grant.objects.visible_to(user).filter(_has_id(text))
    return [
        Hit(
            f"Grant of {item.registered_model.name} to {item.team.name}",
            "Grant",
            reverse("access:grant_detail", args=(item.pk,)),
            "badge-check",
        )
        for item in found.select_related("team", "registered_model")[:SHOWN]
    ]


def _capacity(user: User, text: str) -> list[Hit]:
    """Find requests to change a pool, by id or by the pool's name."""
    found = CapacityRequest.objects.visible_to(user).filter(_has_id(text) | Q(pool__icontains=text))
    return [
        Hit(
            f"Change of {item.pool}",
            item.get_status_display(),
            reverse("capacity:request_detail", args=(item.pk,)),
            "gauge",
        )
        for item in found[:SHOWN]
    ]


def _calls(user: User, text: str) -> list[Hit]:
    """Find a call by its whole request id, and lead to why it went on or not."""
    try:
        wanted = uuid.UUID(text)
    except ValueError:
        return []
    call = store.call_of(wanted)
    if call is None or not store.sees_calls_of(user, call.team):
        return []
    title = f"Call of {call.team or 'no team'} to {call.model or 'no model'}"
    url = f"{reverse('gateway:why')}?{urlencode({'request_id': str(wanted)})}"
    return [Hit(title, call.get_outcome_display(), url, "waypoints")]


def _guardrails(user: User, text: str) -> list[Hit]:
    found = GuardrailChange.objects.visible_to(user).filter(_has_id(text))
    return [
        Hit(
            f"Change of the guard rules of {item.environment}",
            item.get_status_display(),
            item.get_absolute_url(),
            "shield-check",
        )
        for item in found[:SHOWN]
    ]


def _prompts(user: User, text: str) -> list[Hit]:
    """Find holds, erasures and changes of retention by id; holds by their matter, and holds and
    erasures by what pages print of a member or case, too.
    """
    has_id = _has_id(text)
    matter, is_start = Q(matter__icontains=text), bool(_ID_START.match(text.lower()))
    of_holds, of_erasures = has_id | matter, has_id
    if is_start:
        of_holds |= Q(value__startswith=text.lower())
        of_erasures |= Q(token__startswith=text.lower())
    found: list[LegalHold | ErasureRequest | RetentionChange] = [
        *LegalHold.objects.visible_to(user).filter(of_holds)[:SHOWN],
        *ErasureRequest.objects.visible_to(user).filter(of_erasures)[:SHOWN],
        *RetentionChange.objects.visible_to(user).filter(has_id)[:SHOWN],
    ]
    return [_of_prompts(item) for item in found]


def _of_prompts(item: LegalHold | ErasureRequest | RetentionChange) -> Hit:
    told = str(item)
    detail = item.matter if isinstance(item, LegalHold) else item.get_status_display()
    return Hit(told[:1].upper() + told[1:], detail, item.get_absolute_url(), "lock")


def _fleet(text: str) -> list[tuple[str, list[Hit]]]:
    """Find nodes, claims and replicas, those that are there first."""
    named = Q(name__icontains=text)
    gone = F("ended_at").asc(nulls_first=True)
    nodes = Node.objects.present().filter(named | Q(instance_type__icontains=text))[:SHOWN]
    claims = NodeClaim.objects.matching(text).order_by(gone, "-created_at")[:SHOWN]
    replicas = Replica.objects.filter(named).order_by(gone, "-created_at")[:SHOWN]
    return [
        ("Nodes", [_of_node(item) for item in nodes]),
        ("Node claims", [_of_fleet(item, "fleet:claim_detail", "server") for item in claims]),
        ("Replicas", [_of_fleet(item, "fleet:replica_detail", "box") for item in replicas]),
    ]


def _of_node(item: Node) -> Hit:
    url = f"{reverse('fleet:node_list')}?{urlencode({'q': item.name})}"
    return Hit(item.name, item.instance_type, url, "server")


def _of_fleet(item: NodeClaim | Replica, view: str, icon: str) -> Hit:
    kind = item.instance_type if isinstance(item, NodeClaim) else item.service
    ended = f" · ended {item.ended_at:%d %b %H:%M} UTC" if item.ended_at else ""
    return Hit(item.name, f"{kind}{ended}", reverse(view, args=(item.pk,)), icon)


def _teams(user: User, text: str) -> list[Hit]:
    """Find teams: all for those who oversee, else the person's own. A line leads to what the team
    asked for.
    """
    found = Team.objects.filter(Q(slug__icontains=text) | Q(name__icontains=text)).select_related(
        "cost_center"
    )
    if not user.has_role(*SEES_EVERY_TEAM):
        found = found.filter(pk__in=[user.team_id] if user.team_id else [])
    page = reverse("access:request_list")
    return [
        Hit(
            team.name,
            f"{team.slug} · {team.cost_center.code}",
            f"{page}?{urlencode({'q': team.slug})}",
            "users",
        )
        for team in found.order_by("slug")[:SHOWN]
    ]
