"""Going on without enough traffic is somebody's word: the proposal's, or a person's at the weight."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

TRIGGER = """
CREATE OR REPLACE FUNCTION promotion_keeps_what_was_asked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF ROW(NEW.registered_model_id, NEW.model_version_id, NEW.baseline_id, NEW.eval_run_id, NEW.manifest_digest,
           NEW.requested_by_id, NEW.requested_at, NEW.justification, NEW.serving_class, NEW.pre_warm%(new)s)
       IS DISTINCT FROM ROW(OLD.registered_model_id, OLD.model_version_id, OLD.baseline_id, OLD.eval_run_id,
           OLD.manifest_digest, OLD.requested_by_id, OLD.requested_at, OLD.justification, OLD.serving_class,
           OLD.pre_warm%(old)s) THEN
        RAISE EXCEPTION 'what a promotion asks never changes' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
"""
FORWARD = TRIGGER % {"new": ", NEW.without_traffic", "old": ", OLD.without_traffic"}
BACKWARD = TRIGGER % {"new": "", "old": ""}


class Migration(migrations.Migration):
    dependencies = [
        ("promotions", "0010_keeps_what_was_asked"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]
    operations = [
        migrations.AddField("promotion", "without_traffic", models.BooleanField(default=False)),
        migrations.AddField(
            "gateresult",
            "decided_by",
            models.ForeignKey(
                blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField("gateresult", "reason", models.TextField(blank=True, default="")),
        migrations.AddConstraint(
            "gateresult",
            models.CheckConstraint(
                condition=models.Q(
                    models.Q(("decided_by__isnull", True), ("reason", "")),
                    models.Q(
                        ("decided_by__isnull", False),
                        ("verdict", "NO_TRAFFIC"),
                        models.Q(("reason", ""), _negated=True),
                    ),
                    _connector="OR",
                ),
                name="gate_result_decided_only_without_traffic",
            ),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
