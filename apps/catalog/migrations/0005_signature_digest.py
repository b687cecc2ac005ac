"""The digest of a version's signature, as it is stored: promotions are bound to it.

Of versions that were verified before, it is read at the next check, which is due at once.
"""

from django.db import migrations, models

FORWARD = """
CREATE TRIGGER version_signature_once BEFORE UPDATE ON catalog_modelversion
    FOR EACH ROW WHEN (OLD.signature_digest <> '' AND OLD.signature_digest <> NEW.signature_digest)
    EXECUTE FUNCTION refused('the signature of a version never changes');
UPDATE catalog_modelversion SET next_check_at = now() WHERE status = 'VERIFIED';
"""
BACKWARD = "DROP TRIGGER version_signature_once ON catalog_modelversion;"


class Migration(migrations.Migration):
    dependencies = [("catalog", "0004_guards")]
    operations = [
        migrations.AddField(
            "modelversion",
            "signature_digest",
            models.CharField(blank=True, default="", max_length=71),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
