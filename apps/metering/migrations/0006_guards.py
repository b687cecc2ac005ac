"""A record in quarantine is resolved once; every hour is summed anew, with its aborted calls."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER quarantine_steps BEFORE UPDATE ON metering_quarantinedrecord
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps('WAITING>REPLAYED', 'WAITING>LEFT_OUT');
CREATE TRIGGER quarantine_resolved_once BEFORE UPDATE ON metering_quarantinedrecord
    FOR EACH ROW WHEN (OLD.status <> 'WAITING' AND OLD IS DISTINCT FROM NEW)
    EXECUTE FUNCTION refused('a record that was resolved never changes');
INSERT INTO metering_dirtyhour (hour, marked_at)
    SELECT DISTINCT hour, now() FROM metering_hourlyusage ON CONFLICT DO NOTHING;
"""
BACKWARD = """
DROP TRIGGER quarantine_steps ON metering_quarantinedrecord;
DROP TRIGGER quarantine_resolved_once ON metering_quarantinedrecord;
"""


class Migration(migrations.Migration):
    dependencies = [("metering", "0005_quarantine"), ("audit", "0005_guards")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
