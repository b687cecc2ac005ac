"""The bell reads the alerts of a month, newest first."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("access", "0006_budget_guards")]
    operations = [
        migrations.AddIndex(
            model_name="budgetalert",
            index=models.Index(fields=["-told_at"], name="budget_alert_newest"),
        ),
    ]
