"""A request is decided once, and a grant ends once. Whoever sets their search path does not mislead the guard of grants."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER access_request_steps BEFORE UPDATE ON access_accessrequest
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps('PENDING>APPROVED', 'PENDING>REJECTED', 'PENDING>WITHDRAWN');
CREATE TRIGGER access_request_decided_once BEFORE UPDATE ON access_accessrequest
    FOR EACH ROW WHEN (OLD.status <> 'PENDING' AND OLD IS DISTINCT FROM NEW)
    EXECUTE FUNCTION refused('a decided request never changes');
CREATE TRIGGER grant_revoked_once BEFORE UPDATE ON access_grant
    FOR EACH ROW WHEN (OLD.revoked_at IS NOT NULL AND OLD IS DISTINCT FROM NEW)
    EXECUTE FUNCTION refused('a revoked grant never changes');
ALTER FUNCTION grant_needs_an_approved_request() SET search_path = public, pg_temp;
"""
BACKWARD = """
DROP TRIGGER access_request_steps ON access_accessrequest;
DROP TRIGGER access_request_decided_once ON access_accessrequest;
DROP TRIGGER grant_revoked_once ON access_grant;
ALTER FUNCTION grant_needs_an_approved_request() RESET search_path;
"""


class Migration(migrations.Migration):
    dependencies = [("access", "0003_renewals"), ("audit", "0005_guards")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
