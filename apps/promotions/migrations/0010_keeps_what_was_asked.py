"""What a promotion asks for never changes: the class and the hours are reviewed with the version and its evidence."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION promotion_keeps_what_was_asked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF ROW(NEW.registered_model_id, NEW.model_version_id, NEW.baseline_id, NEW.eval_run_id, NEW.manifest_digest,
           NEW.requested_by_id, NEW.requested_at, NEW.justification, NEW.serving_class, NEW.pre_warm)
       IS DISTINCT FROM ROW(OLD.registered_model_id, OLD.model_version_id, OLD.baseline_id, OLD.eval_run_id,
           OLD.manifest_digest, OLD.requested_by_id, OLD.requested_at, OLD.justification, OLD.serving_class,
           OLD.pre_warm) THEN
        RAISE EXCEPTION 'what a promotion asks never changes' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER promotion_change BEFORE UPDATE ON promotions_promotion
    FOR EACH ROW EXECUTE FUNCTION promotion_keeps_what_was_asked();
"""
BACKWARD = """
DROP TRIGGER promotion_change ON promotions_promotion;
DROP FUNCTION promotion_keeps_what_was_asked();
"""


class Migration(migrations.Migration):
    dependencies = [("promotions", "0009_pre_warm")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
