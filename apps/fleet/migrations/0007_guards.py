"""What a contract said stays: it can only end earlier than it was to."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER price_override_ends_earlier BEFORE UPDATE ON fleet_priceoverride
    FOR EACH ROW WHEN (NEW.active_to IS NULL OR NEW.active_to >= OLD.active_to)
    EXECUTE FUNCTION refused('a contract never ends later than it was to');
"""
BACKWARD = "DROP TRIGGER price_override_ends_earlier ON fleet_priceoverride;"


class Migration(migrations.Migration):
    dependencies = [("fleet", "0006_machine_prices"), ("audit", "0005_guards")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
