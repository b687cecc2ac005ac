"""The sum of a month is computed anew and never changed."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER monthly_allocation_never_changes BEFORE UPDATE ON chargeback_monthlyallocation
    FOR EACH ROW EXECUTE FUNCTION refused('the sum of a month is computed anew, never changed');
"""
BACKWARD = "DROP TRIGGER monthly_allocation_never_changes ON chargeback_monthlyallocation;"


class Migration(migrations.Migration):
    dependencies = [("chargeback", "0011_allocation_months"), ("audit", "0005_guards")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
