"""A request for a new model is decided once, and never changes afterwards."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER model_intake_steps BEFORE UPDATE ON catalog_modelintake
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps('PENDING>APPROVED', 'PENDING>REJECTED', 'PENDING>WITHDRAWN');
CREATE TRIGGER model_intake_decided_once BEFORE UPDATE ON catalog_modelintake
    FOR EACH ROW WHEN (OLD.status <> 'PENDING' AND OLD IS DISTINCT FROM NEW)
    EXECUTE FUNCTION refused('a decided request never changes');
CREATE TRIGGER catalog_modelintake_two_people BEFORE INSERT OR UPDATE ON catalog_modelintake
    FOR EACH ROW WHEN (NEW.decided_by_id IS NOT NULL AND NEW.status <> 'WITHDRAWN')
    EXECUTE FUNCTION takes_two_people('requested_by_id', 'decided_by_id');
"""
BACKWARD = """
DROP TRIGGER model_intake_steps ON catalog_modelintake;
DROP TRIGGER catalog_modelintake_two_people ON catalog_modelintake;
DROP TRIGGER model_intake_decided_once ON catalog_modelintake;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("catalog", "0013_model_intake"),
        ("audit", "0005_guards"),
        ("accounts", "0004_two_people"),
    ]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
