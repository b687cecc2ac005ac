"""A retirement that ended never changes, and what was announced stays in the record."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER retirement_steps BEFORE UPDATE ON catalog_retirement
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps('ANNOUNCED>RETIRED', 'ANNOUNCED>WITHDRAWN');
CREATE TRIGGER retirement_ended_once BEFORE UPDATE ON catalog_retirement
    FOR EACH ROW WHEN (OLD.status <> 'ANNOUNCED' AND OLD IS DISTINCT FROM NEW)
    EXECUTE FUNCTION refused('a retirement that ended never changes');
CREATE TRIGGER retirement_keeps_its_model BEFORE UPDATE ON catalog_retirement
    FOR EACH ROW WHEN (
        ROW(OLD.registered_model_id, OLD.announced_by_id, OLD.announced_at, OLD.callers)
        IS DISTINCT FROM ROW(NEW.registered_model_id, NEW.announced_by_id, NEW.announced_at, NEW.callers))
    EXECUTE FUNCTION refused('what was announced of a retirement never changes');
CREATE TRIGGER retirement_no_delete BEFORE DELETE ON catalog_retirement
    FOR EACH ROW EXECUTE FUNCTION refused('a retirement stays');
"""
BACKWARD = """
DROP TRIGGER retirement_no_delete ON catalog_retirement;
DROP TRIGGER retirement_keeps_its_model ON catalog_retirement;
DROP TRIGGER retirement_ended_once ON catalog_retirement;
DROP TRIGGER retirement_steps ON catalog_retirement;
"""


class Migration(migrations.Migration):
    """The guards."""

    dependencies = [("catalog", "0008_retirement"), ("audit", "0005_guards")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
