"""Asking for a promotion's change. ServiceNow itself is the reconciler's business."""

from datetime import datetime, timedelta

from django.conf import settings
from django.db import transaction

from apps.audit.actions import Actor, record
from apps.audit.models import Action
from apps.common.tasks import enqueue_on_commit
from apps.integrations.servicenow.addresses import is_configured
from apps.integrations.servicenow.parsing import utc_text
from apps.promotions.changes.models import ChangeRecord
from apps.promotions.models import Promotion
from apps.promotions.policy.rules import ChangeRule

Kind = ChangeRecord.Kind
TYPES = {Kind.NORMAL: "normal", Kind.EMERGENCY: "emergency"}


@transaction.atomic
def ask_for_change(
    *,
    promotion: Promotion,
    actor: Actor,
    now: datetime,
    kind: str = Kind.NORMAL,
    statement: str = "",
) -> ChangeRecord | None:
    """Ask for a change in ServiceNow that a worker then opens; the one that there is where it was
    asked for before. None where there is no ServiceNow, and for a normal change that the policy
    does not ask for.

    statement: what the emergency is, for the record in ServiceNow; it must name no member.
    """
    needed = kind != Kind.NORMAL or promotion.policy_revision.rules.change != ChangeRule.NONE
    if not needed or not is_configured():
        return None
    change, is_new = ChangeRecord.objects.get_or_create(
        promotion=promotion,
        kind=kind,
        defaults={
            "correlation_id": f"quartermaster:{TYPES[Kind(kind)]}:{promotion.pk}",
            "fields": _fields(promotion, Kind(kind), statement, now),
            "asked_at": now,
            "next_check_at": now,
        },
    )
    if is_new:
        data = {"promotion": str(promotion.pk), "kind": str(kind)}
        record(action=Action.CHANGE_ASKED, actor=actor, target=change, now=now, data=data)
        enqueue_on_commit("promotions.reconcile_change", change_id=str(change.pk))
    return change


def _fields(promotion: Promotion, kind: Kind, statement: str, now: datetime) -> dict[str, str]:
    """Return what is written when the change is opened. Nothing of it is what people typed but for
    the statement of an emergency: ServiceNow's records are widely readable.
    """
    version = promotion.model_version.name
    before = promotion.baseline.name if promotion.baseline else ""
    written = {
        "type": TYPES[kind],
        "short_description": f"Promote {version} to production",
        "description": _description(promotion, version, before, statement),
        "implementation_plan": _implementation(version, before),
        "backout_plan": _backout(before),
        "test_plan": (
            f"Evaluation run {promotion.eval_run_id} met every threshold, on the weights of the "
            f"manifest above."
        ),
        "correlation_id": f"quartermaster:{TYPES[kind]}:{promotion.pk}",
        "correlation_display": "Quartermaster",
    }
    return written | _planned(now) | _of_this_instance()


def _implementation(version: str, before: str) -> str:
    start = "The portal commits the approved files to Git"
    if not before:
        return f"{start}, starts {version}, and gives it all callers once it is ready."
    return (
        f"{start}, starts {version} beside {before}, and moves the callers to it step by step "
        f"while it measures both."
    )


def _backout(before: str) -> str:
    if not before:
        return "A platform engineer takes the version back in the portal; nothing served before."
    return (
        f"Callers go back to {before} by themselves where a step fails. A platform engineer can "
        f"roll back at any time in the portal."
    )


def _description(promotion: Promotion, version: str, before: str, statement: str) -> str:
    model = promotion.registered_model.name
    instead = f" instead of {before}" if before else ", as its first version"
    lines = [
        f"{version} is to serve the callers of {model}{instead}.",
        f"Manifest {promotion.manifest_digest}",
        f"Proposed by {promotion.requested_by.username}",
        f"{settings.PORTAL_URL}/promotions/{promotion.pk}/",
    ]
    return "\n".join([*lines, *([f"Emergency: {statement.strip()}"] if statement else [])])


def _planned(now: datetime) -> dict[str, str]:
    hours = settings.SERVICENOW_WINDOW_HOURS
    if not hours:
        return {}
    return {
        "start_date": utc_text(now),
        "end_date": utc_text(now + timedelta(hours=hours)),
    }


def _of_this_instance() -> dict[str, str]:
    ours = {
        "chg_model": settings.SERVICENOW_CHANGE_MODEL,
        "assignment_group": settings.SERVICENOW_ASSIGNMENT_GROUP,
        "cmdb_ci": settings.SERVICENOW_CI,
    }
    return {name: value for name, value in ours.items() if value}
