"""A price per SKU instead of three columns, and the change that brought it: prices take two persons from now on.

What one person set before stays as it is, with the status SET.
"""

import uuid

import django.contrib.postgres.constraints
import django.contrib.postgres.fields.ranges
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

COPY = """
INSERT INTO chargeback_pricechange (id, registered_model_id, prices, before, active_from, justification,
    requested_by_id, requested_at, status, decided_at, decision_reason)
SELECT gen_random_uuid(), r.registered_model_id, jsonb_build_object(
        'INPUT', trim_scale(r.input_usd_per_million)::text,
        'CACHED_INPUT', trim_scale(r.cached_input_usd_per_million)::text,
        'OUTPUT', trim_scale(r.output_usd_per_million)::text),
    '{}', r.active_from, 'Set before prices took two persons.', r.set_by_id, r.set_at, 'SET', r.set_at, ''
FROM chargeback_rate r;
UPDATE chargeback_rate r SET sku = 'INPUT', unit_price_usd = r.input_usd_per_million, change_id = c.id
FROM chargeback_pricechange c
WHERE c.registered_model_id = r.registered_model_id AND c.active_from = r.active_from;
INSERT INTO chargeback_rate (registered_model_id, input_usd_per_million, cached_input_usd_per_million,
    output_usd_per_million, currency, active_from, active_to, set_by_id, set_at, change_id, sku, unit_price_usd)
SELECT r.registered_model_id, r.input_usd_per_million, r.cached_input_usd_per_million, r.output_usd_per_million,
    r.currency, r.active_from, r.active_to, r.set_by_id, r.set_at, r.change_id, q.sku, q.price
FROM chargeback_rate r, LATERAL (VALUES ('CACHED_INPUT', r.cached_input_usd_per_million),
    ('OUTPUT', r.output_usd_per_million)) q (sku, price);
SET CONSTRAINTS ALL IMMEDIATE;
"""
PROTECT = django.db.models.deletion.PROTECT
USER = settings.AUTH_USER_MODEL
RANGE = models.Func(
    "active_from",
    "active_to",
    function="tstzrange",
    output_field=django.contrib.postgres.fields.ranges.DateTimeRangeField(),
)


class Migration(migrations.Migration):
    dependencies = [
        ("chargeback", "0005_allocation_tokens"),
        ("catalog", "0004_guards"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="PriceChange",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("prices", models.JSONField()),
                ("before", models.JSONField(default=dict)),
                ("active_from", models.DateTimeField()),
                ("justification", models.TextField()),
                ("requested_at", models.DateTimeField()),
                (
                    "status",
                    models.CharField(
                        choices=[
                            ("PENDING", "Waiting for a decision"),
                            ("PUBLISHED", "Published"),
                            ("REJECTED", "Rejected"),
                            ("WITHDRAWN", "Withdrawn"),
                            ("SET", "Set by one person"),
                        ],
                        default="PENDING",
                        max_length=16,
                    ),
                ),
                ("decided_at", models.DateTimeField(blank=True, null=True)),
                ("decision_reason", models.TextField(blank=True, default="")),
                ("decided_by", models.ForeignKey(blank=True, null=True, on_delete=PROTECT, related_name="+", to=USER)),
                (
                    "registered_model",
                    models.ForeignKey(on_delete=PROTECT, related_name="price_changes", to="catalog.registeredmodel"),
                ),
                (
                    "requested_by",
                    models.ForeignKey(blank=True, null=True, on_delete=PROTECT, related_name="+", to=USER),
                ),
            ],
            options={
                "ordering": ("-requested_at", "-id"),
                "indexes": [
                    models.Index(fields=["-requested_at", "-id"], name="price_change_newest"),
                    models.Index(fields=["-active_from", "-id"], name="price_change_latest"),
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("status", "PENDING")),
                        fields=("registered_model",),
                        name="price_change_one_pending_per_model",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("status", "SET"), ("requested_by__isnull", False), _connector="OR"),
                        name="price_change_proposed_by_somebody",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("decided_by__isnull", True),
                            ("status", "WITHDRAWN"),
                            models.Q(("decided_by", models.F("requested_by")), _negated=True),
                            _connector="OR",
                        ),
                        name="price_change_not_decided_by_requester",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("status__in", ("PUBLISHED", "REJECTED")), _negated=True),
                            ("decided_by__isnull", False),
                            _connector="OR",
                        ),
                        name="price_change_decided_by_somebody",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("decided_at__isnull", True), ("status", "PENDING")),
                            models.Q(
                                models.Q(("status", "PENDING"), _negated=True),
                                ("decided_at__isnull", False),
                            ),
                            _connector="OR",
                        ),
                        name="price_change_decided_at_when_decided",
                    ),
                ],
            },
        ),
        migrations.RemoveConstraint(model_name="rate", name="rate_one_per_model_at_a_time"),
        migrations.AddField("rate", "sku", models.CharField(max_length=16, null=True)),
        migrations.AddField(
            "rate", "unit_price_usd", models.DecimalField(decimal_places=10, max_digits=20, null=True)
        ),
        migrations.AddField(
            "rate",
            "change",
            models.ForeignKey(null=True, on_delete=PROTECT, related_name="rates", to="chargeback.pricechange"),
        ),
        migrations.AddField(
            "rate",
            "replaced_by",
            models.ForeignKey(
                blank=True, null=True, on_delete=PROTECT, related_name="+", to="chargeback.pricechange"
            ),
        ),
        migrations.RunSQL(COPY),
        migrations.RemoveField("rate", "input_usd_per_million"),
        migrations.RemoveField("rate", "cached_input_usd_per_million"),
        migrations.RemoveField("rate", "output_usd_per_million"),
        migrations.RemoveField("rate", "set_by"),
        migrations.RemoveField("rate", "set_at"),
        migrations.AlterField(
            "rate",
            "sku",
            models.CharField(
                choices=[
                    ("INPUT", "Input"),
                    ("CACHED_INPUT", "Cached input"),
                    ("OUTPUT", "Output"),
                    ("EMBEDDING_INPUT", "Embedding input"),
                    ("RERANK_REQUEST", "Rerank requests"),
                    ("AUDIO_SECOND", "Audio"),
                    ("IMAGE", "Images"),
                ],
                max_length=16,
            ),
        ),
        migrations.AlterField(
            "rate", "unit_price_usd", models.DecimalField(decimal_places=10, max_digits=20)
        ),
        migrations.AlterField(
            "rate",
            "change",
            models.ForeignKey(on_delete=PROTECT, related_name="rates", to="chargeback.pricechange"),
        ),
        migrations.AlterModelOptions("rate", {"ordering": ("-active_from", "id")}),
        migrations.AddConstraint(
            "rate",
            django.contrib.postgres.constraints.ExclusionConstraint(
                condition=models.Q(("replaced_by__isnull", True)),
                expressions=(("registered_model", "="), ("sku", "="), (RANGE, "&&")),
                name="rate_one_per_model_and_sku_at_a_time",
            ),
        ),
        migrations.AddConstraint(
            "rate",
            models.UniqueConstraint(fields=("change", "sku"), name="rate_once_per_change_and_sku"),
        ),
        migrations.AddConstraint(
            "rate",
            models.CheckConstraint(
                condition=models.Q(("unit_price_usd__gte", 0)), name="rate_is_not_below_zero"
            ),
        ),
    ]
