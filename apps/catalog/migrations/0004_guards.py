"""The steps of a version, a verified one that turns out to be something else included; and what never changes of a model.

Versions that were verified before are looked at again, too.
"""

from django.db import migrations

FORWARD = """
CREATE TRIGGER registered_model_no_change BEFORE UPDATE ON catalog_registeredmodel
    FOR EACH ROW WHEN (OLD.name <> NEW.name)
    EXECUTE FUNCTION refused('the name of a model never changes');
CREATE TRIGGER version_steps BEFORE UPDATE ON catalog_modelversion
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps(
        'UPLOADING>SIGNING', 'SIGNING>VERIFYING', 'VERIFYING>VERIFIED',
        'SIGNING>QUARANTINED', 'VERIFYING>QUARANTINED', 'VERIFIED>QUARANTINED',
        'UPLOADING>FAILED', 'SIGNING>FAILED', 'VERIFYING>FAILED',
        'FAILED>SIGNING', 'FAILED>VERIFYING');
CREATE TRIGGER version_locked_once BEFORE UPDATE ON catalog_modelversion
    FOR EACH ROW WHEN (OLD.locked_until IS NOT NULL AND OLD.locked_until IS DISTINCT FROM NEW.locked_until)
    EXECUTE FUNCTION refused('the lock of a version never changes');
CREATE TRIGGER version_signed_once BEFORE UPDATE ON catalog_modelversion
    FOR EACH ROW WHEN (OLD.signer <> '' AND OLD.signer <> NEW.signer)
    EXECUTE FUNCTION refused('the signer of a version never changes');
UPDATE catalog_modelversion SET next_check_at = now() WHERE status = 'VERIFIED' AND next_check_at IS NULL;
"""
BACKWARD = """
DROP TRIGGER registered_model_no_change ON catalog_registeredmodel;
DROP TRIGGER version_steps ON catalog_modelversion;
DROP TRIGGER version_locked_once ON catalog_modelversion;
DROP TRIGGER version_signed_once ON catalog_modelversion;
"""


class Migration(migrations.Migration):
    dependencies = [("catalog", "0003_read_back"), ("audit", "0005_guards")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
