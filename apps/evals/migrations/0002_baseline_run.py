"""A finished run keeps what it was compared with."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("evals", "0001_initial")]
    operations = [
        migrations.AddField(
            "evalrun",
            "baseline_run",
            models.ForeignKey(
                blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+",
                to="evals.evalrun",
            ),
        ),
    ]
