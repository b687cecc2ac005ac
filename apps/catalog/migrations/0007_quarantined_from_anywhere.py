"""A version that failed can turn out to be something else, too: quarantine takes it from there.

A failed one may still lie in the registry with a manifest, and people can have it verified.
"""

from django.db import migrations

STEPS = """
DROP TRIGGER version_steps ON catalog_modelversion;
CREATE TRIGGER version_steps BEFORE UPDATE ON catalog_modelversion
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps(
        'UPLOADING>SIGNING', 'SIGNING>VERIFYING', 'VERIFYING>VERIFIED',
        'SIGNING>QUARANTINED', 'VERIFYING>QUARANTINED', 'VERIFIED>QUARANTINED',{more}
        'UPLOADING>FAILED', 'SIGNING>FAILED', 'VERIFYING>FAILED',
        'FAILED>SIGNING', 'FAILED>VERIFYING');
"""


class Migration(migrations.Migration):
    dependencies = [("catalog", "0006_ranges")]
    operations = [
        migrations.RunSQL(STEPS.format(more="\n        'FAILED>QUARANTINED',"), STEPS.format(more=""))
    ]
