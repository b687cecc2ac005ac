"""What can be served: registered models and their immutable, signed versions.

A version is a prefix in the registry bucket. It is usable only when VERIFIED: every file was read
back and its digest compared with the signed manifest. A version's files, digest and prefix never
change (a trigger holds it).
"""

import re

from django.core.validators import RegexValidator
from django.db import models

from apps.accounts.models import Team, User
from apps.accounts.roles import OWNS_MODELS

# Django finds an app's models through this module only
from apps.catalog.facts import models as facts_models  # noqa: F401
from apps.catalog.intake import models as intake_models  # noqa: F401
from apps.catalog.retirement import models as retirement_models  # noqa: F401
from apps.catalog.sizing import models as sizing_models  # noqa: F401
from apps.common.leases import Reconciled

# `<name>-v<n>-<8 digits of an evaluation run>-predictor` must fit a DNS label of 63.
MODEL_NAME = re.compile(r"^[a-z]([-a-z0-9]{0,34}[a-z0-9])?\Z")


class DataClass(models.TextChoices):
    """The most sensitive data that a model may be given."""

    PUBLIC = "PUBLIC", "Public"
    INTERNAL = "INTERNAL", "Internal"
    PHI = "PHI", "Member data (PHI)"


class RegisteredModelQuerySet(models.QuerySet["RegisteredModel"]):
    """Models; everybody with a role may see the catalog."""

    def visible_to(self, user: User) -> "RegisteredModelQuerySet":
        """Return the models this person may see: all, for anybody with a role."""
        return self if user.roles else self.none()


class RegisteredModel(models.Model):
    """A model that teams can ask for: one name callers use, many versions."""

    name = models.CharField(
        max_length=40,
        unique=True,
        validators=(
            RegexValidator(
                MODEL_NAME, "Use lower-case letters, digits and dashes; start with a letter."
            ),
        ),
    )
    title = models.CharField(max_length=120)
    description = models.TextField()
    task = models.CharField(max_length=60)  # "Information extraction"
    family = models.CharField(max_length=60)  # "SmolLM2"
    parameter_count = models.BigIntegerField()
    context_length = models.PositiveIntegerField()  # tokens
    license = models.CharField(max_length=60)
    data_class = models.CharField(max_length=16, choices=DataClass.choices)
    intended_use = models.TextField(blank=True, default="")
    forbidden_use = models.TextField(blank=True, default="")
    owner_team = models.ForeignKey(Team, on_delete=models.PROTECT, related_name="owned_models")
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()

    objects = RegisteredModelQuerySet.as_manager()

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name

    def is_owned_by(self, user: User) -> bool:
        """Tell whether this person decides about the model: a model owner of its owning team, and a
        pipeline only where its rule names the model.
        """
        if user.limited_to is not None and self.name not in user.limited_to:
            return False
        return user.has_role(*OWNS_MODELS) and user.team_id == self.owner_team_id


class ModelVersionQuerySet(models.QuerySet["ModelVersion"]):
    """Versions, newest first."""

    def visible_to(self, user: User) -> "ModelVersionQuerySet":
        """Return the versions this person may see: all, for anybody with a role."""
        return self if user.roles else self.none()

    def with_sizes(self) -> "ModelVersionQuerySet":
        """Add `total_bytes` and `file_count`, in the same query."""
        return self.annotate(
            total_bytes=models.Sum("files__size", default=0), file_count=models.Count("files")
        )

    def verified(self) -> "ModelVersionQuerySet":
        """Return the versions that may be evaluated and served."""
        return self.filter(status=ModelVersion.Status.VERIFIED)


class ModelVersion(Reconciled):
    """One immutable set of files under `s3://<bucket>/<model>/v<number>/`."""

    class Status(models.TextChoices):
        """Where the version is on its way to being usable."""

        UPLOADING = "UPLOADING", "Uploading"
        # all files are up; the worker reads them back, writes manifest and signature
        SIGNING = "SIGNING", "Signing"
        VERIFYING = "VERIFYING", "Verifying"  # everything is read once more, as it is stored now
        VERIFIED = "VERIFIED", "Verified"
        QUARANTINED = "QUARANTINED", "Quarantined"
        FAILED = "FAILED", "Failed"

    MOVING = (Status.UPLOADING, Status.SIGNING, Status.VERIFYING)

    registered_model = models.ForeignKey(
        RegisteredModel, on_delete=models.PROTECT, related_name="versions"
    )
    number = models.PositiveIntegerField()
    status = models.CharField(max_length=16, choices=Status.choices, default=Status.UPLOADING)
    note = models.TextField(blank=True, default="")  # what changed, in the owner's words
    manifest_digest = models.CharField(max_length=71, blank=True, default="")  # "sha256:<hex>"
    signer = models.CharField(max_length=200, blank=True, default="")
    # "sha256:<hex>" of model.sig as it is stored; "" until it was read
    signature_digest = models.CharField(max_length=71, blank=True, default="")
    # set when uploaded; every object gets this lock
    locked_until = models.DateTimeField(null=True, blank=True)
    # read in the present phase (signing, then verifying)
    bytes_verified = models.BigIntegerField(default=0)
    verified_at = models.DateTimeField(null=True, blank=True)
    # how S3 says its objects are kept, at the last look: verification.checks.protection
    protection = models.JSONField(default=dict, blank=True)
    created_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()

    objects = ModelVersionQuerySet.as_manager()

    class Meta:
        ordering = ("-number",)
        constraints = (
            models.UniqueConstraint(
                fields=("registered_model", "number"), name="version_number_once_per_model"
            ),
            models.CheckConstraint(
                condition=~models.Q(status="VERIFIED") | ~models.Q(manifest_digest=""),
                name="version_verified_has_digest",
            ),
        )

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """Return `<model>-v<number>`: the name of its InferenceService. Needs registered_model
        loaded.
        """
        return f"{self.registered_model.name}-v{self.number}"

    @property
    def prefix(self) -> str:
        """Return the key prefix in the registry bucket, with a slash at its end."""
        return f"{self.registered_model.name}/v{self.number}/"


class ModelFile(models.Model):
    """One file of a version: what its publisher declared, and how far it is."""

    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="files")
    name = models.CharField(max_length=255)
    size = models.BigIntegerField()
    sha256 = models.CharField(max_length=64)
    # S3 multipart upload, while it runs
    upload_id = models.CharField(max_length=255, blank=True, default="")
    # [{"PartNumber": 1, "ETag": "…", "size": n, "checksum": "…"}]: as S3 told of them
    parts = models.JSONField(default=list)
    uploaded_at = models.DateTimeField(null=True, blank=True)
    object_version = models.CharField(max_length=255, blank=True, default="")
    # its digest was compared before signing
    read_back_at = models.DateTimeField(null=True, blank=True)
    # the SHA-256 of each 64 MiB, from that reading; none of ranges.json, which lists them
    range_digests = models.JSONField(default=list, blank=True)
    verified_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("name",)
        constraints = (
            models.UniqueConstraint(fields=("version", "name"), name="file_name_once_per_version"),
        )

    def __str__(self) -> str:
        return self.name
