"""Rollouts that were made before there were weights: one step to all callers, and their promotion's baseline."""

from django.db import migrations

FORWARD = """
UPDATE promotions_rollout r SET steps = '[100]', baseline_id = p.baseline_id
    FROM promotions_promotion p WHERE p.id = r.promotion_id;
"""


class Migration(migrations.Migration):
    dependencies = [("promotions", "0005_weights")]
    operations = [migrations.RunSQL(FORWARD, migrations.RunSQL.noop)]
