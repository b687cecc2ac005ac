"""A decision keeps what was on the reviewer's page."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("promotions", "0011_without_traffic")]
    operations = [
        migrations.AddField("approval", "evidence", models.JSONField(default=dict)),
    ]
