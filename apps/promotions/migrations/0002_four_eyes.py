"""An approval's requested_by must be its promotion's requester, so that its check constraint holds against every door."""

from django.db import migrations

FORWARD = """
ALTER TABLE promotions_approval ADD CONSTRAINT approval_repeats_the_requester
    FOREIGN KEY (promotion_id, requested_by_id) REFERENCES promotions_promotion (id, requested_by_id);
"""
BACKWARD = "ALTER TABLE promotions_approval DROP CONSTRAINT approval_repeats_the_requester;"


class Migration(migrations.Migration):
    dependencies = [("promotions", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
