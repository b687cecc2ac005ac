"""Evidence packs: what an auditor takes away about one promotion or one month, made once by a
worker and kept in the archive.
"""

from django.db import models
from django.db.models import Q
from django.urls import reverse

from apps.accounts.models import User
from apps.common.ids import ordered_id
from apps.common.leases import Reconciled
from apps.promotions.models import Promotion


class EvidencePack(Reconciled):
    """One zip. Once it is made, nothing of it changes.

    month: its first day. checkpoint_size: of the anchored checkpoint that its proofs lead to; NULL
    until one stands over what is to be proven. done, total: of the steps of making it; working_on:
    the present one, in words. sha256, size_bytes: of the zip, "" and NULL until it is made; reason,
    message: what stands in its way.
    """

    class Kind(models.TextChoices):
        """What it is about."""

        PROMOTION = "PROMOTION", "Promotion"
        MONTH = "MONTH", "Month"

    class Status(models.TextChoices):
        """Where it stands."""

        WAITING = "WAITING", "Being made"
        MADE = "MADE", "Made"
        FAILED = "FAILED", "Failed"

    id = models.UUIDField(primary_key=True, default=ordered_id, editable=False)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    promotion = models.ForeignKey(
        Promotion, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    month = models.DateField(null=True, blank=True)
    asked_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField()
    status = models.CharField(max_length=10, choices=Status.choices, default=Status.WAITING)
    checkpoint_size = models.BigIntegerField(null=True, blank=True)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(null=True, blank=True)
    working_on = models.CharField(max_length=200, blank=True, default="")
    object_key = models.CharField(max_length=200, blank=True, default="")
    version_id = models.CharField(max_length=200, blank=True, default="")
    sha256 = models.CharField(max_length=64, blank=True, default="")
    size_bytes = models.BigIntegerField(null=True, blank=True)
    made_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-asked_at", "-id")
        constraints = (
            models.CheckConstraint(
                condition=Q(kind="PROMOTION", promotion__isnull=False, month=None)
                | Q(kind="MONTH", promotion=None, month__isnull=False),
                name="evidence_pack_is_about_one_thing",
            ),
            models.UniqueConstraint(
                fields=("promotion",),
                condition=Q(status="WAITING"),
                name="evidence_pack_one_waiting_per_promotion",
            ),
            models.UniqueConstraint(
                fields=("month",),
                condition=Q(status="WAITING"),
                name="evidence_pack_one_waiting_per_month",
            ),
            models.CheckConstraint(
                condition=Q(
                    status="MADE",
                    size_bytes__gt=0,
                    made_at__isnull=False,
                    checkpoint_size__isnull=False,
                    sha256__regex=r"^[0-9a-f]{64}$",
                )
                & ~Q(object_key="")
                | (~Q(status="MADE") & Q(sha256="", size_bytes=None, made_at=None, object_key="")),
                name="evidence_pack_made_tells_its_file",
            ),
        )

    def __str__(self) -> str:
        return f"evidence of {self.label}"

    @property
    def label(self) -> str:
        """Return what it is about. Needs the promotion's version and model loaded."""
        return f"{self.month:%B %Y}" if self.promotion is None else str(self.promotion)

    @property
    def file_name(self) -> str:
        """Return what the zip is called where it is saved. Needs what `label` does."""
        if self.promotion is None:
            return f"evidence-{self.month:%Y-%m}.zip"
        return f"evidence-{self.promotion.model_version.name}-{str(self.promotion_id)[:8]}.zip"

    def get_absolute_url(self) -> str:
        """Return the address of its page."""
        return reverse("oversight:evidence_detail", args=[self.pk])
