"""With what a version is served is asked with its promotion, and never changes after that."""

from django.db import migrations, models

GUARD = """
CREATE OR REPLACE FUNCTION promotion_keeps_what_was_asked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF ROW(NEW.registered_model_id, NEW.model_version_id, NEW.baseline_id, NEW.eval_run_id, NEW.manifest_digest,
           NEW.requested_by_id, NEW.requested_at, NEW.justification, NEW.serving_class, NEW.pre_warm,
           NEW.without_traffic, NEW.policy_revision_id%(new)s)
       IS DISTINCT FROM ROW(OLD.registered_model_id, OLD.model_version_id, OLD.baseline_id, OLD.eval_run_id,
           OLD.manifest_digest, OLD.requested_by_id, OLD.requested_at, OLD.justification, OLD.serving_class,
           OLD.pre_warm, OLD.without_traffic, OLD.policy_revision_id%(old)s) THEN
        RAISE EXCEPTION 'what a promotion asks never changes' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
"""
FORWARD = GUARD % {"new": ", NEW.serving_settings", "old": ", OLD.serving_settings"}
BACKWARD = GUARD % {"new": "", "old": ""}


class Migration(migrations.Migration):
    dependencies = [("promotions", "0026_emergency_guards")]
    operations = [
        migrations.AddField(
            model_name="promotion",
            name="serving_settings",
            field=models.JSONField(blank=True, default=dict),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
