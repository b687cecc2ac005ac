"""A rollout keeps what its replicas must be, what was seen of them, and since when they differ."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('catalog', '0004_guards'),
        ('promotions', '0014_two_people'),
    ]

    operations = [
        migrations.AddField(
            model_name='rollout',
            name='checks',
            field=models.JSONField(blank=True, default=list),
        ),
        migrations.AddField(
            model_name='rollout',
            name='container',
            field=models.JSONField(blank=True, default=dict),
        ),
        migrations.AddField(
            model_name='rollout',
            name='differences',
            field=models.JSONField(blank=True, default=list),
        ),
        migrations.AddField(
            model_name='rollout',
            name='drifted_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddConstraint(
            model_name='rollout',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('differences', []), ('drifted_at__isnull', True)), models.Q(models.Q(('differences', []), _negated=True), ('drifted_at__isnull', False)), _connector='OR'), name='rollout_drifted_at_where_it_differs'),
        ),
    ]
