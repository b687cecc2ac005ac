"""A backfill never goes back, and is over once it is finished."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER backfill_goes_on BEFORE UPDATE ON metering_backfill FOR EACH ROW
WHEN (NEW.stored_until < OLD.stored_until OR OLD.finished_at IS NOT NULL)
EXECUTE FUNCTION refused('a backfill never goes back, and one that is finished never changes');
"""
BACKWARD = "DROP TRIGGER backfill_goes_on ON metering_backfill;"


class Migration(migrations.Migration):
    dependencies = [("metering", "0014_backfill"), ("audit", "0005_guards")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
