"""What the access log and the gate told of a call is kept as they told it."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER count_difference_no_change BEFORE UPDATE OR DELETE ON metering_countdifference
    FOR EACH ROW EXECUTE FUNCTION refused('what was told of a call never changes');
CREATE TRIGGER lost_call_no_change BEFORE UPDATE ON metering_lostcall
    FOR EACH ROW EXECUTE FUNCTION refused('what is known of a lost call never changes');
"""
BACKWARD = """
DROP TRIGGER count_difference_no_change ON metering_countdifference;
DROP TRIGGER lost_call_no_change ON metering_lostcall;
"""


class Migration(migrations.Migration):
    dependencies = [("metering", "0024_gate_counts"), ("audit", "0005_guards")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
