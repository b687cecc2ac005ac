"""What was promised, by whom and why never changes, and an objective that was ended stays so."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER objective_ended_once BEFORE UPDATE ON slo_objective
    FOR EACH ROW WHEN (OLD.ended_at IS NOT NULL)
    EXECUTE FUNCTION refused('an objective that was ended never changes');
CREATE TRIGGER objective_is_of_its_model BEFORE UPDATE ON slo_objective
    FOR EACH ROW WHEN (
        ROW(OLD.registered_model_id, OLD.kind, OLD."window")
            IS DISTINCT FROM ROW(NEW.registered_model_id, NEW.kind, NEW."window"))
    EXECUTE FUNCTION refused('what an objective is about never changes');
CREATE TRIGGER objective_stays BEFORE DELETE ON slo_objective
    FOR EACH ROW EXECUTE FUNCTION refused('an objective stays');
CREATE TRIGGER objective_revision_no_change BEFORE UPDATE OR DELETE ON slo_objectiverevision
    FOR EACH ROW EXECUTE FUNCTION refused('a revision of an objective never changes');
"""
BACKWARD = """
DROP TRIGGER objective_ended_once ON slo_objective;
DROP TRIGGER objective_is_of_its_model ON slo_objective;
DROP TRIGGER objective_stays ON slo_objective;
DROP TRIGGER objective_revision_no_change ON slo_objectiverevision;
"""


class Migration(migrations.Migration):
    dependencies = [("slo", "0001_initial"), ("audit", "0005_guards")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
