from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("promotions", "0008_lost_commits")]
    operations = [
        migrations.AddField(
            model_name="promotion",
            name="pre_warm",
            field=models.CharField(blank=True, default="", max_length=80),
        ),
        migrations.AddConstraint(
            model_name="promotion",
            constraint=models.CheckConstraint(
                condition=models.Q(("pre_warm", ""), ("serving_class", "SCALE_TO_ZERO"), _connector="OR"),
                name="promotion_pre_warm_only_where_it_sleeps",
            ),
        ),
    ]
