"""The steps of a model's policy: each publication is asked for, committed, then carried by the cluster."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER policy_revision_steps BEFORE UPDATE ON gateway_policyrevision
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps(
        'PENDING>COMMITTED', 'COMMITTED>ACTIVE', 'PENDING>ACTIVE', 'PENDING>FAILED', 'COMMITTED>FAILED',
        'COMMITTED>PENDING', 'ACTIVE>PENDING', 'FAILED>PENDING',
        -- a pass that another one overtook says what it committed, and is found to be outdated
        'ACTIVE>COMMITTED', 'FAILED>COMMITTED', 'FAILED>ACTIVE');
"""
BACKWARD = "DROP TRIGGER policy_revision_steps ON gateway_policyrevision;"


class Migration(migrations.Migration):
    dependencies = [("gateway", "0001_initial"), ("audit", "0005_guards")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
