"""What a version's own files say, as it was read when the version was verified. A fact: one row for
each version and each reader that read it, never changed.
"""

from django.db import models


class ModelFactsQuerySet(models.QuerySet["ModelFacts"]):
    """Facts, the newest reader's first."""

    def newest(self) -> "ModelFactsQuerySet":
        """Return the facts of each version as the newest reader read them."""
        return self.order_by("version_id", "-reader").distinct("version_id")


class ModelFacts(models.Model):
    """Facts of one version; the fields are those of `reading.Facts`, and null is: not known.

    reader: which generation of the reader read them. digest: over all of it.
    """

    version = models.ForeignKey(
        "catalog.ModelVersion", on_delete=models.PROTECT, related_name="facts"
    )
    reader = models.PositiveSmallIntegerField()
    digest = models.CharField(max_length=71)
    architecture = models.CharField(max_length=200, blank=True, default="")
    model_type = models.CharField(max_length=200, blank=True, default="")
    parameters = models.BigIntegerField(null=True, blank=True)
    weight_bytes = models.BigIntegerField(null=True, blank=True)
    dtype = models.CharField(max_length=16, blank=True, default="")
    dtypes = models.JSONField(default=dict, blank=True)
    quantization = models.CharField(max_length=220, blank=True, default="")
    layers = models.PositiveIntegerField(null=True, blank=True)
    heads = models.PositiveIntegerField(null=True, blank=True)
    kv_heads = models.PositiveIntegerField(null=True, blank=True)
    head_size = models.PositiveIntegerField(null=True, blank=True)
    hidden_size = models.PositiveIntegerField(null=True, blank=True)
    context = models.PositiveIntegerField(null=True, blank=True)  # tokens
    sliding_window = models.PositiveIntegerField(null=True, blank=True)  # tokens
    vocabulary = models.PositiveIntegerField(null=True, blank=True)
    experts = models.PositiveIntegerField(null=True, blank=True)
    experts_used = models.PositiveIntegerField(null=True, blank=True)
    chat_template = models.TextField(blank=True, default="")
    chat_template_digest = models.CharField(max_length=71, blank=True, default="")
    model_card = models.CharField(max_length=255, blank=True, default="")
    license_file = models.CharField(max_length=255, blank=True, default="")
    license_stated = models.CharField(max_length=200, blank=True, default="")
    config = models.JSONField(default=dict, blank=True)
    problems = models.JSONField(default=list, blank=True)
    read_at = models.DateTimeField()

    objects = ModelFactsQuerySet.as_manager()

    class Meta:
        constraints = (
            models.UniqueConstraint(
                fields=("version", "reader"), name="model_facts_once_per_reader"
            ),
        )

    def __str__(self) -> str:
        return f"facts {self.digest[7:19]}"
