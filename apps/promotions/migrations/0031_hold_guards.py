"""What held the rollouts of a model, since when and why, never changes, and a hold that is over stays so."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER rollout_hold_ends_once BEFORE UPDATE ON promotions_rollouthold
    FOR EACH ROW WHEN (OLD.ended_at IS NOT NULL)
    EXECUTE FUNCTION refused('a hold that is over never changes');
CREATE TRIGGER rollout_hold_keeps_its_cause BEFORE UPDATE ON promotions_rollouthold
    FOR EACH ROW WHEN (
        ROW(OLD.registered_model_id, OLD.cause, OLD.words, OLD.began_at)
            IS DISTINCT FROM ROW(NEW.registered_model_id, NEW.cause, NEW.words, NEW.began_at))
    EXECUTE FUNCTION refused('why rollouts are held never changes');
CREATE TRIGGER rollout_hold_stays BEFORE DELETE ON promotions_rollouthold
    FOR EACH ROW EXECUTE FUNCTION refused('a hold of rollouts stays');
"""
BACKWARD = """
DROP TRIGGER rollout_hold_ends_once ON promotions_rollouthold;
DROP TRIGGER rollout_hold_keeps_its_cause ON promotions_rollouthold;
DROP TRIGGER rollout_hold_stays ON promotions_rollouthold;
"""


class Migration(migrations.Migration):
    dependencies = [("promotions", "0030_rollout_holds"), ("audit", "0005_guards")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
