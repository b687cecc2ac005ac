"""A day's facts are computed anew and never changed."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER day_fact_never_changes BEFORE UPDATE ON chargeback_dayfact
    FOR EACH ROW EXECUTE FUNCTION refused('a fact of a day is computed anew, never changed');
"""
BACKWARD = "DROP TRIGGER day_fact_never_changes ON chargeback_dayfact;"


class Migration(migrations.Migration):
    dependencies = [("chargeback", "0023_day_facts"), ("audit", "0005_guards")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
