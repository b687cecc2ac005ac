"""A change record takes only the steps of its life, and keeps the number and the outcome that it was given."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER change_record_steps BEFORE UPDATE ON promotions_changerecord
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps('OPENING>OPEN', 'OPENING>CLOSED', 'OPEN>CLOSED');
CREATE TRIGGER change_record_number_once BEFORE UPDATE ON promotions_changerecord
    FOR EACH ROW WHEN (
        OLD.number <> '' AND ROW(OLD.number, OLD.sys_id, OLD.opened_at)
            IS DISTINCT FROM ROW(NEW.number, NEW.sys_id, NEW.opened_at))
    EXECUTE FUNCTION refused('the number of a change record never changes');
CREATE TRIGGER change_record_closed_once BEFORE UPDATE ON promotions_changerecord
    FOR EACH ROW WHEN (OLD.status = 'CLOSED' AND OLD IS DISTINCT FROM NEW)
    EXECUTE FUNCTION refused('a closed change record never changes');
CREATE TRIGGER change_record_no_delete BEFORE DELETE ON promotions_changerecord
    FOR EACH ROW EXECUTE FUNCTION refused('a change record stays');
"""
BACKWARD = """
DROP TRIGGER change_record_steps ON promotions_changerecord;
DROP TRIGGER change_record_number_once ON promotions_changerecord;
DROP TRIGGER change_record_closed_once ON promotions_changerecord;
DROP TRIGGER change_record_no_delete ON promotions_changerecord;
"""


class Migration(migrations.Migration):
    dependencies = [("promotions", "0016_changes"), ("audit", "0005_guards")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
