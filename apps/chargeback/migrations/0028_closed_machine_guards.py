"""What was known of machines at a close is of a closed month, and never changes."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER closed_machine_of_a_closed_month BEFORE INSERT ON chargeback_closedmachine
    FOR EACH ROW EXECUTE FUNCTION statement_needs_a_closed_month();
CREATE TRIGGER closed_machine_never_changes BEFORE UPDATE OR DELETE ON chargeback_closedmachine
    FOR EACH ROW EXECUTE FUNCTION refused('what was known at a close never changes');
"""
BACKWARD = """
DROP TRIGGER closed_machine_never_changes ON chargeback_closedmachine;
DROP TRIGGER closed_machine_of_a_closed_month ON chargeback_closedmachine;
"""


class Migration(migrations.Migration):
    dependencies = [("chargeback", "0027_closed_machines"), ("audit", "0005_guards")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
