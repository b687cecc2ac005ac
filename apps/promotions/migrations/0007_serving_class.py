from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("promotions", "0006_rollouts_before_weights")]
    operations = [
        migrations.AddField(
            model_name="promotion",
            name="serving_class",
            field=models.CharField(
                choices=[("WARM", "Warm"), ("SCALE_TO_ZERO", "Scale to zero")], default="WARM", max_length=16
            ),
        ),
        migrations.AddConstraint(
            model_name="promotion",
            constraint=models.CheckConstraint(
                condition=models.Q(("serving_class__in", ("WARM", "SCALE_TO_ZERO"))),
                name="promotion_serving_class_is_known",
            ),
        ),
    ]
