"""What usage costs: rates with effective dates. Prices are per million tokens, in USD, with ten
decimals.
"""

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.db import models
from django.db.models import F, Func, Q

from apps.accounts.models import User
from apps.catalog.models import RegisteredModel


class Rate(models.Model):
    """The price of a model's tokens over [active_from, active_to). No two at once (exclusion
    constraint).
    """

    registered_model = models.ForeignKey(
        RegisteredModel, on_delete=models.PROTECT, related_name="rates"
    )
    input_usd_per_million = models.DecimalField(max_digits=20, decimal_places=10)
    cached_input_usd_per_million = models.DecimalField(max_digits=20, decimal_places=10)
    output_usd_per_million = models.DecimalField(max_digits=20, decimal_places=10)
    currency = models.CharField(max_length=3, default="USD")
    active_from = models.DateTimeField()
    active_to = models.DateTimeField(null=True, blank=True)
    set_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    set_at = models.DateTimeField()

    class Meta:
        ordering = ("-active_from",)
        constraints = (
            ExclusionConstraint(
                name="rate_one_per_model_at_a_time",
                expressions=(
                    ("registered_model", RangeOperators.EQUAL),
                    (
                        Func(
                            "active_from",
                            "active_to",
                            function="tstzrange",
                            output_field=DateTimeRangeField(),
                        ),
                        RangeOperators.OVERLAPS,
                    ),
                ),
            ),
            models.CheckConstraint(
                condition=Q(active_to__isnull=True) | Q(active_to__gt=F("active_from")),
                name="rate_ends_after_it_begins",
            ),
        )

    def __str__(self) -> str:
        return f"{self.registered_model} from {self.active_from:%Y-%m-%d}"
