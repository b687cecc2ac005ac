"""A price ends once, and its history stays."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER rate_ends_once BEFORE UPDATE ON chargeback_rate
    FOR EACH ROW WHEN (OLD.active_to IS NOT NULL AND OLD.active_to IS DISTINCT FROM NEW.active_to)
    EXECUTE FUNCTION refused('a price that ended never changes');
"""
BACKWARD = "DROP TRIGGER rate_ends_once ON chargeback_rate;"


class Migration(migrations.Migration):
    dependencies = [("chargeback", "0001_initial"), ("audit", "0005_guards")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
