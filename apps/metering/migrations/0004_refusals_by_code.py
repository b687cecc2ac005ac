from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("metering", "0003_unmetered_reason")]
    operations = [
        migrations.AddField(
            model_name="hourlyusage",
            name=f"refused_{code}_calls",
            field=models.PositiveIntegerField(default=0),
        )
        for code in (401, 403, 404, 429)
    ]
