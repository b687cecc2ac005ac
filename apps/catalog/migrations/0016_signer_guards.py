"""What never changes of keys, revocations and readings, and which steps they take."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER signer_no_change BEFORE UPDATE ON catalog_signer
    FOR EACH ROW WHEN (
        OLD.fingerprint <> NEW.fingerprint OR OLD.name <> NEW.name
        OR OLD.public_key <> NEW.public_key OR OLD.active_from <> NEW.active_from)
    EXECUTE FUNCTION refused('a signing key never changes');
CREATE TRIGGER signer_revoked_for_good BEFORE UPDATE ON catalog_signer
    FOR EACH ROW WHEN (OLD.revoked_at IS NOT NULL AND (
        OLD.revoked_at IS DISTINCT FROM NEW.revoked_at OR OLD.active_to IS DISTINCT FROM NEW.active_to))
    EXECUTE FUNCTION refused('a key that was revoked stays so');
CREATE TRIGGER signer_revocation_steps BEFORE UPDATE ON catalog_signerrevocation
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps('PENDING>APPROVED', 'PENDING>REJECTED', 'PENDING>WITHDRAWN');
CREATE TRIGGER catalog_signerrevocation_two_people BEFORE INSERT OR UPDATE ON catalog_signerrevocation
    FOR EACH ROW WHEN (NEW.decided_by_id IS NOT NULL AND NEW.status <> 'WITHDRAWN')
    EXECUTE FUNCTION takes_two_people('requested_by_id', 'decided_by_id');
CREATE TRIGGER signer_revocation_decided_once BEFORE UPDATE ON catalog_signerrevocation
    FOR EACH ROW WHEN (OLD.status <> 'PENDING')
    EXECUTE FUNCTION refused('a decision never changes');
CREATE TRIGGER verification_steps BEFORE UPDATE ON catalog_verification
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps('RUNNING>PASSED', 'RUNNING>FAILED', 'RUNNING>ENDED');
"""
BACKWARD = """
DROP TRIGGER signer_no_change ON catalog_signer;
DROP TRIGGER signer_revoked_for_good ON catalog_signer;
DROP TRIGGER signer_revocation_steps ON catalog_signerrevocation;
DROP TRIGGER catalog_signerrevocation_two_people ON catalog_signerrevocation;
DROP TRIGGER signer_revocation_decided_once ON catalog_signerrevocation;
DROP TRIGGER verification_steps ON catalog_verification;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("catalog", "0015_signers_and_verifications"),
        ("accounts", "0004_two_people"),
        ("audit", "0005_guards"),
    ]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
