"""The gateway's policy as published: one row per model whose grants were compiled and committed."""

from django.db import models

from apps.catalog.models import RegisteredModel
from apps.common.leases import Reconciled

# Django finds an app's models through this module only
from apps.gateway.effective import models as effective_models  # noqa: F401
from apps.gateway.guard.models import GuardHit, GuardrailChange, GuardrailRevision  # noqa: F401


class PolicyRevision(Reconciled):
    """The policy of one model: what was compiled last, which commit carries it, and whether the
    cluster has it.

    One row per model, changed in place by the reconciler; its history is in Git and in the audit
    record.
    """

    class Status(models.TextChoices):
        """ACTIVE: the cluster's objects carry this digest."""

        PENDING = "PENDING", "Waiting"
        COMMITTED = "COMMITTED", "Committed"
        ACTIVE = "ACTIVE", "Active"
        FAILED = "FAILED", "Failed"

    registered_model = models.OneToOneField(
        RegisteredModel, on_delete=models.PROTECT, related_name="policy"
    )
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.PENDING)
    digest = models.CharField(max_length=71, blank=True, default="")  # of the rendered manifests
    commit = models.CharField(max_length=40, blank=True, default="")
    published_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"policy of {self.registered_model}"
