"""What an approval is over, to the byte: kept with the proposal, repeated on each decision, and when approvals were voided."""

from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [("promotions", "0021_policy_guards")]
    operations = [
        migrations.CreateModel(
            name="KeptBytes",
            fields=[
                ("digest", models.CharField(max_length=71, primary_key=True, serialize=False)),
                ("content", models.BinaryField()),
            ],
        ),
        migrations.AddField("promotion", "binding", models.JSONField(default=dict)),
        migrations.AddField(
            "promotion",
            "binding_digest",
            models.CharField(blank=True, default="", max_length=71),
        ),
        migrations.AddField(
            "promotion", "voided_at", models.DateTimeField(blank=True, null=True)
        ),
        migrations.AddField("promotion", "void_reason", models.TextField(blank=True, default="")),
        migrations.AddField(
            "approval",
            "binding_digest",
            models.CharField(blank=True, default="", max_length=71),
        ),
        migrations.AddField(
            "approval",
            "dossier_digest",
            models.CharField(blank=True, default="", max_length=71),
        ),
        migrations.AddField("approval", "voided_at", models.DateTimeField(blank=True, null=True)),
        migrations.AddField("approval", "void_reason", models.TextField(blank=True, default="")),
        migrations.RemoveConstraint("approval", "approval_once_per_person"),
        migrations.AddConstraint(
            "approval",
            models.UniqueConstraint(
                condition=Q(voided_at__isnull=True),
                fields=("promotion", "approver"),
                name="approval_once_per_person",
            ),
        ),
        migrations.AddConstraint(
            "approval",
            models.CheckConstraint(
                condition=Q(voided_at__isnull=True, void_reason="")
                | (Q(voided_at__isnull=False, decision="APPROVE") & ~Q(void_reason="")),
                name="approval_voided_with_a_reason",
            ),
        ),
        migrations.AddConstraint(
            "promotion",
            models.CheckConstraint(
                condition=Q(voided_at__isnull=True, void_reason="")
                | (Q(voided_at__isnull=False) & ~Q(void_reason="")),
                name="promotion_voided_with_a_reason",
            ),
        ),
    ]
