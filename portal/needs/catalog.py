"""Models: new ones, signing keys to be revoked, and versions that are not what was signed."""

from collections.abc import Iterator
from datetime import datetime

from django.db.models import Exists, OuterRef, Q
from django.urls import reverse

from apps.accounts.models import Role, User
from apps.accounts.roles import DECIDES_SIGNERS, STEERS_ROLLOUTS
from apps.catalog.intake import telling as intake_lines
from apps.catalog.intake.models import ModelIntake
from apps.catalog.models import ModelVersion
from apps.catalog.signers import telling as signer_lines
from apps.catalog.signers.models import SignerRevocation
from apps.evals import telling as eval_lines
from apps.promotions.models import Rollout
from portal.needs.lines import FAILED_SINCE, SHOWN, Need, asked


def own_new_models(user: User) -> Iterator[Need]:
    """New models that this person asked for."""
    rows = ModelIntake.objects.pending().filter(requested_by=user).select_related("owner_team")
    for item in rows[:SHOWN]:
        why = f"A model owner of {item.owner_team.name}, or a platform engineer, decides"
        url = intake_lines.path_of(item)
        yield Need(intake_lines.own_title(item), why, url, "boxes", "idle", item.requested_at)


def new_models(user: User) -> Iterator[Need]:
    """Requests for new models that the person decides about."""
    rows = ModelIntake.objects.to_decide(user).select_related("requested_by")
    yield from asked(rows, intake_lines.asked_title, icon="boxes", path=intake_lines.path_of)


def revocations(user: User) -> Iterator[Need]:
    """Signing keys that somebody else wants to be revoked, for those who decide."""
    if not user.has_role(*DECIDES_SIGNERS):
        return
    rows = SignerRevocation.objects.to_decide(user).select_related("signer", "requested_by")
    yield from asked(rows, signer_lines.asked_title, icon="key-round", path=signer_lines.path_of)


def quarantined(user: User, now: datetime) -> Iterator[Need]:
    """Versions whose files were found not to match their manifest, however long ago they were
    published: this week's of the team's own models; and of any model what still serves, for those
    who steer rollouts.
    """
    if not user.has_role(Role.MODEL_OWNER, *STEERS_ROLLOUTS):
        return
    of_this_week, serves = Q(observed_at__gte=now - FAILED_SINCE), Q(serves=True)
    told = Q(registered_model__owner_team=user.team_id) & (of_this_week | serves)
    if user.has_role(*STEERS_ROLLOUTS):
        told |= serves
    live = Rollout.objects.live().filter(model_version=OuterRef("pk"))
    bad = ModelVersion.objects.filter(status=ModelVersion.Status.QUARANTINED)
    bad = bad.annotate(serves=Exists(live)).filter(told).select_related("registered_model")
    for item in bad[:SHOWN]:
        url = reverse("catalog:version_detail", args=(item.registered_model.name, item.number))
        why = item.message or "A file does not match its manifest"
        title = eval_lines.quarantine_title(item)
        if item.serves:  # type: ignore[attr-defined]  # annotated above
            title += ", but still serves callers"
        yield Need(title, why, url, "shield-alert", "bad", item.observed_at or now)
