"""An episode can be of a version itself: one that was taken out of use. Those of rollouts name their
version, too.
"""

import django.db.models.deletion
from django.db import migrations, models

FILL = """
SET CONSTRAINTS ALL IMMEDIATE;
UPDATE incidents_episode SET model_version_id = promotions_rollout.model_version_id
    FROM promotions_rollout WHERE promotions_rollout.id = incidents_episode.rollout_id;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("incidents", "0002_guards"),
        ("catalog", "0016_signer_guards"),
        ("promotions", "0018_change_conflicts"),
    ]
    operations = [
        migrations.AddField(
            "episode",
            "model_version",
            models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="episodes",
                to="catalog.modelversion",
            ),
        ),
        migrations.RunSQL(FILL, migrations.RunSQL.noop),
        migrations.AlterField(
            "episode",
            "model_version",
            models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="episodes",
                to="catalog.modelversion",
            ),
        ),
        migrations.AlterField(
            "episode",
            "rollout",
            models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="episodes",
                to="promotions.rollout",
            ),
        ),
        migrations.AlterField(
            "episode",
            "kind",
            models.CharField(
                choices=[
                    ("DRIFT", "Not what was approved"),
                    ("ROLLOUT_FAILED", "Rollout failed"),
                    ("QUARANTINED", "Version not to be trusted"),
                ],
                max_length=16,
            ),
        ),
        migrations.AddConstraint(
            "episode",
            models.UniqueConstraint(
                condition=models.Q(status="OPEN", kind="QUARANTINED"),
                fields=("kind", "model_version"),
                name="episode_one_open_of_a_version",
            ),
        ),
        migrations.AddConstraint(
            "episode",
            models.CheckConstraint(
                condition=models.Q(kind="QUARANTINED", rollout=None)
                | (~models.Q(kind="QUARANTINED") & models.Q(rollout__isnull=False)),
                name="episode_of_a_rollout_or_a_version",
            ),
        ),
    ]
