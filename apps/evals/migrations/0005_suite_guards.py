"""A revision of a suite is decided once; its packets never change."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER suite_steps BEFORE UPDATE ON evals_evalsuite
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps('PENDING>APPROVED', 'PENDING>REJECTED', 'PENDING>WITHDRAWN');
CREATE TRIGGER suite_decided_once BEFORE UPDATE ON evals_evalsuite
    FOR EACH ROW WHEN (
        OLD.status <> 'PENDING'
        AND ROW(OLD.decided_by_id, OLD.decided_at, OLD.decision_reason)
            IS DISTINCT FROM ROW(NEW.decided_by_id, NEW.decided_at, NEW.decision_reason))
    EXECUTE FUNCTION refused('the decision on a suite never changes');
CREATE TRIGGER suite_content_kept BEFORE UPDATE ON evals_evalsuite
    FOR EACH ROW WHEN (
        ROW(OLD.slug, OLD.revision, OLD.digest, OLD.packets_digest, OLD.thresholds, OLD.rule, OLD.question,
            OLD.judges, OLD.owner_team_id, OLD.requested_by_id)
        IS DISTINCT FROM
        ROW(NEW.slug, NEW.revision, NEW.digest, NEW.packets_digest, NEW.thresholds, NEW.rule, NEW.question,
            NEW.judges, NEW.owner_team_id, NEW.requested_by_id))
    EXECUTE FUNCTION refused('a revision of a suite never changes: a changed suite is the next revision');
CREATE TRIGGER evals_evalsuite_two_people BEFORE INSERT OR UPDATE ON evals_evalsuite
    FOR EACH ROW EXECUTE FUNCTION takes_two_people('requested_by_id', 'decided_by_id');
CREATE TRIGGER suite_packet_kept BEFORE UPDATE ON evals_suitepacket
    FOR EACH ROW EXECUTE FUNCTION refused('a packet of a suite never changes');
"""
BACKWARD = """
DROP TRIGGER suite_steps ON evals_evalsuite;
DROP TRIGGER suite_decided_once ON evals_evalsuite;
DROP TRIGGER suite_content_kept ON evals_evalsuite;
DROP TRIGGER evals_evalsuite_two_people ON evals_evalsuite;
DROP TRIGGER suite_packet_kept ON evals_suitepacket;
"""


class Migration(migrations.Migration):
    dependencies = [("evals", "0004_suites"), ("audit", "0005_guards"), ("accounts", "0004_two_people")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
