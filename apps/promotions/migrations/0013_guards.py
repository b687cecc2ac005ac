"""A promotion is decided once, a rollout takes only the steps of its life, and a commit's times are written once.

Whoever sets their search path does not mislead the guard of rollouts.
"""

from django.db import migrations

FORWARD = """
CREATE TRIGGER promotion_steps BEFORE UPDATE ON promotions_promotion
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps('PENDING>APPROVED', 'PENDING>REJECTED', 'PENDING>WITHDRAWN');
CREATE TRIGGER promotion_decided_once BEFORE UPDATE ON promotions_promotion
    FOR EACH ROW WHEN (OLD.status <> 'PENDING' AND OLD.decided_at IS DISTINCT FROM NEW.decided_at)
    EXECUTE FUNCTION refused('a decided promotion never changes');
CREATE TRIGGER rollout_steps BEFORE UPDATE ON promotions_rollout
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps(
        'PENDING>PROGRESSING', 'PENDING>LIVE', 'PROGRESSING>LIVE', 'LIVE>REPLACED',
        'PENDING>FAILED', 'PROGRESSING>FAILED', 'FAILED>PROGRESSING',
        'PENDING>ABORTED', 'PROGRESSING>ABORTED', 'FAILED>ABORTED',
        'PENDING>SUPERSEDED', 'PROGRESSING>SUPERSEDED');
CREATE TRIGGER rollout_commit_times_once BEFORE UPDATE ON promotions_rolloutcommit
    FOR EACH ROW WHEN (
        (OLD.observed_at IS NOT NULL AND OLD.observed_at IS DISTINCT FROM NEW.observed_at)
        OR (OLD.lost_at IS NOT NULL AND OLD.lost_at IS DISTINCT FROM NEW.lost_at))
    EXECUTE FUNCTION refused('the times of a commit are written once');
CREATE TRIGGER gate_result_no_change BEFORE UPDATE ON promotions_gateresult
    FOR EACH ROW EXECUTE FUNCTION refused('what was decided at a weight never changes');
ALTER FUNCTION rollout_needs_an_approval() SET search_path = public, pg_temp;
"""
BACKWARD = """
DROP TRIGGER promotion_steps ON promotions_promotion;
DROP TRIGGER promotion_decided_once ON promotions_promotion;
DROP TRIGGER rollout_steps ON promotions_rollout;
DROP TRIGGER rollout_commit_times_once ON promotions_rolloutcommit;
DROP TRIGGER gate_result_no_change ON promotions_gateresult;
ALTER FUNCTION rollout_needs_an_approval() RESET search_path;
"""


class Migration(migrations.Migration):
    dependencies = [("promotions", "0012_evidence"), ("audit", "0005_guards")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
