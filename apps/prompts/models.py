"""The prompt record as rows: an index that holds no text, ciphertext until it lies in S3, and the
wrapped keys without which no ciphertext is ever read again.

The gate writes records, texts and keys with its own small SQL (capture/), the worker moves and
removes them (storage/). Triggers (see migrations) hold what matters most: nothing is removed before
its time or while it is held, and no text is stored under a key that is destroyed.
"""

import uuid
from datetime import datetime

from django.db import models
from django.db.models import Q
from django.urls import reverse

from apps.catalog.models import DataClass
from apps.common.ids import ordered_id
from apps.common.leases import Reconciled
from apps.metering.models import Operation
from apps.prompts.subjects import SubjectKind


class Phase(models.TextChoices):
    """Which half of a call a text is."""

    REQUEST = "REQUEST", "Request"
    ANSWER = "ANSWER", "Answer"


class Outcome(models.TextChoices):
    """What became of a call, as far as the record saw it."""

    OPEN = "OPEN", "No answer seen yet"
    ANSWERED = "ANSWERED", "Answered"
    CUT = "CUT", "Answer stopped by a rule"
    REFUSED = "REFUSED", "Refused"
    UNSERVED = "UNSERVED", "Answered by no model"


class Place(models.TextChoices):
    """Where a record's texts are."""

    POSTGRES = "POSTGRES", "In the database"
    S3 = "S3", "In S3"
    ERASED = "ERASED", "Erased"


class DataKey(models.Model):
    """The key of a subject's texts in one month, wrapped by a key of Vault or KMS (or of a file).

    wrapped: empty once it is destroyed, and then nobody reads what it sealed. wrapped_sha256: of
    what was there. secret: which secret made the token. A subject whose key of a month was
    destroyed and who calls again in that month gets another one.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    kind = models.CharField(max_length=8, choices=SubjectKind.choices)
    token = models.CharField(max_length=64)
    secret = models.CharField(max_length=16, blank=True, default="")
    month = models.DateField()  # its first day, UTC
    wrapped = models.BinaryField()
    wrapped_by = models.CharField(max_length=200)
    wrapped_sha256 = models.CharField(max_length=64)
    created_at = models.DateTimeField()
    destroyed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("month", "created_at", "id")
        constraints = (
            models.UniqueConstraint(
                fields=("kind", "token", "secret", "month"),
                condition=Q(destroyed_at=None),
                name="data_key_one_living_per_subject_and_month",
            ),
            models.CheckConstraint(
                condition=(Q(destroyed_at=None) & ~Q(wrapped=b""))
                | (Q(destroyed_at__isnull=False) & Q(wrapped=b"")),
                name="data_key_destroyed_is_empty",
            ),
        )

    def __str__(self) -> str:
        return f"data key {str(self.pk)[:8]} of {self.month:%B %Y}"


class PromptPack(Reconciled):
    """An object in S3: the ciphertext of many records that are kept until the same day, locked
    until then. What it is made of is settled before it is written, so that a worker may die at any
    line.
    """

    class Status(models.TextChoices):
        """Where it stands."""

        WAITING = "WAITING", "Being written"
        STORED = "STORED", "Stored"
        REMOVED = "REMOVED", "Removed after its time"

    id = models.UUIDField(primary_key=True, default=ordered_id, editable=False)
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.WAITING)
    made_at = models.DateTimeField()
    retained_until = models.DateTimeField()
    object_key = models.CharField(max_length=200, blank=True, default="")
    version_id = models.CharField(max_length=200, blank=True, default="")
    sha256 = models.CharField(max_length=64, blank=True, default="")
    size_bytes = models.PositiveBigIntegerField(default=0)
    stored_at = models.DateTimeField(null=True, blank=True)
    removed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-made_at", "-id")
        constraints = (
            models.CheckConstraint(
                condition=~Q(status="STORED")
                | (~Q(object_key="") & ~Q(sha256="") & Q(stored_at__isnull=False)),
                name="prompt_pack_stored_tells_where",
            ),
        )

    def __str__(self) -> str:
        return f"pack {str(self.pk)[:8]} of prompts"

    @property
    def key_prefix(self) -> str:
        """Return how the key of each object begins that was ever written for this pack."""
        return f"prompts/{self.retained_until:%Y/%m/%d}/{self.pk}-"


class PromptRecordQuerySet(models.QuerySet["PromptRecord"]):
    """Records, newest first."""

    def over(self, now: datetime) -> "PromptRecordQuerySet":
        """Return the records whose time is over."""
        return self.filter(retained_until__lte=now)

    def ended(self) -> "PromptRecordQuerySet":
        """Return the records to which nothing is added any more by a call that goes as usual."""
        return self.exclude(outcome=Outcome.OPEN)


class PromptRecord(models.Model):
    """One call in the index: everything but its text. id: of this record; call_id: the request id,
    which a client may send twice.

    person: the opaque id that pages of usage show. version: as metered, "" until then. verdict:
    {"request": {...}, "answer": {...}}, each with the digest of the rules and the findings, which
    say where and never what. *_bytes: None where that half was not kept. retained_until: what the
    rules said when it was written; a hold keeps it longer.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    call_id = models.UUIDField(db_index=True)
    at = models.DateTimeField()
    team = models.CharField(max_length=63)
    cost_center = models.CharField(max_length=32, blank=True, default="")
    person = models.CharField(max_length=32, blank=True, default="")
    model = models.CharField(max_length=63)
    version = models.CharField(max_length=63, blank=True, default="")
    operation = models.CharField(max_length=10, choices=Operation.choices, blank=True, default="")
    data_class = models.CharField(max_length=16, choices=DataClass.choices)
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    refused_by = models.CharField(max_length=64, blank=True, default="")  # the refusal's code
    rules_hit = models.JSONField(default=list)  # names of the guard's rules that found something
    verdict = models.JSONField(default=dict)
    request_bytes = models.PositiveIntegerField(null=True, blank=True)
    answer_bytes = models.PositiveIntegerField(null=True, blank=True)
    data_key = models.ForeignKey(DataKey, on_delete=models.PROTECT, related_name="records")
    place = models.CharField(max_length=8, choices=Place.choices, default=Place.POSTGRES)
    pack = models.ForeignKey(
        PromptPack, null=True, blank=True, on_delete=models.PROTECT, related_name="records"
    )
    retained_until = models.DateTimeField()

    objects = PromptRecordQuerySet.as_manager()

    class Meta:
        ordering = ("-at", "-id")
        indexes = (
            models.Index(fields=("-at", "-id"), name="prompt_newest_first"),
            models.Index(fields=("team", "-at"), name="prompt_by_team"),
            models.Index(fields=("model", "-at"), name="prompt_by_model"),
            models.Index(fields=("retained_until",), name="prompt_by_end"),
            models.Index(
                fields=("at",), condition=Q(place="POSTGRES", pack=None), name="prompt_to_move"
            ),
        )

    def __str__(self) -> str:
        return f"call {str(self.call_id)[:8]} of {self.team} to {self.model}"

    def get_absolute_url(self) -> str:
        """Return the record's page."""
        return reverse("prompts:record_detail", args=[self.pk])


class PromptText(models.Model):
    """One half of a call, sealed. ciphertext: empty once it lies in the record's pack, at `offset`,
    or is erased. size_bytes: of the text itself.
    """

    record = models.ForeignKey(PromptRecord, on_delete=models.CASCADE, related_name="texts")
    phase = models.CharField(max_length=8, choices=Phase.choices)
    data_key = models.ForeignKey(DataKey, on_delete=models.PROTECT, related_name="texts")
    nonce = models.BinaryField()
    ciphertext = models.BinaryField()
    size_bytes = models.PositiveIntegerField()
    offset = models.PositiveBigIntegerField(null=True, blank=True)

    class Meta:
        constraints = (
            models.UniqueConstraint(fields=("record", "phase"), name="prompt_text_once"),
        )

    def __str__(self) -> str:
        return f"{self.get_phase_display().lower()} of {self.record_id}"


class LostPrompts(models.Model):
    """How many texts of an hour could not be kept where they need not be: the gate's queue was
    full, or its database or key service away.
    """

    hour = models.DateTimeField()
    data_class = models.CharField(max_length=16, choices=DataClass.choices)
    because = models.CharField(max_length=16)
    count = models.PositiveIntegerField()

    class Meta:
        ordering = ("-hour", "data_class", "because")
        constraints = (
            models.UniqueConstraint(
                fields=("hour", "data_class", "because"), name="lost_prompts_counted_once"
            ),
        )

    def __str__(self) -> str:
        return f"{self.count:,} texts lost in {self.hour:%Y-%m-%d %H:00}"
