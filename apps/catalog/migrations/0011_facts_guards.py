"""Facts of a version are written once, and the versions that were verified before facts were read are looked at again."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER model_facts_no_change BEFORE UPDATE OR DELETE ON catalog_modelfacts
    FOR EACH ROW EXECUTE FUNCTION refused('the facts of a version never change');
UPDATE catalog_modelversion SET next_check_at = now() WHERE status = 'VERIFIED';
"""
BACKWARD = "DROP TRIGGER model_facts_no_change ON catalog_modelfacts;"


class Migration(migrations.Migration):
    dependencies = [("catalog", "0010_model_facts"), ("audit", "0005_guards")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
