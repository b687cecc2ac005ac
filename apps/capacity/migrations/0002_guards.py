"""A capacity request is decided once, then takes only the steps of its life."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER capacity_request_steps BEFORE UPDATE ON capacity_capacityrequest
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps(
        'PENDING>APPROVED', 'PENDING>REJECTED', 'PENDING>WITHDRAWN',
        'APPROVED>COMMITTED', 'COMMITTED>APPLIED', 'APPROVED>FAILED', 'COMMITTED>FAILED',
        'FAILED>APPROVED', 'FAILED>COMMITTED');
CREATE TRIGGER capacity_request_decided_once BEFORE UPDATE ON capacity_capacityrequest
    FOR EACH ROW WHEN (
        OLD.status <> 'PENDING'
        AND ROW(OLD.decided_at, OLD.decision_reason) IS DISTINCT FROM ROW(NEW.decided_at, NEW.decision_reason))
    EXECUTE FUNCTION refused('the decision on a capacity request never changes');
CREATE TRIGGER capacity_request_commit_once BEFORE UPDATE ON capacity_capacityrequest
    FOR EACH ROW WHEN (OLD.commit <> '' AND OLD.commit <> NEW.commit)
    EXECUTE FUNCTION refused('the commit of a capacity request never changes');
"""
BACKWARD = """
DROP TRIGGER capacity_request_steps ON capacity_capacityrequest;
DROP TRIGGER capacity_request_decided_once ON capacity_capacityrequest;
DROP TRIGGER capacity_request_commit_once ON capacity_capacityrequest;
"""


class Migration(migrations.Migration):
    dependencies = [("capacity", "0001_initial"), ("audit", "0005_guards")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
