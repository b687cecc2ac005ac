"""A decision has its decider, and a grant its approved request: whoever writes the rows."""

from django.db import migrations, models

FORWARD = """
CREATE FUNCTION grant_needs_an_approved_request() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM access_accessrequest r
        WHERE r.id = NEW.request_id AND r.status = 'APPROVED'
          AND r.registered_model_id = NEW.registered_model_id AND r.team_id = NEW.team_id
    ) THEN
        RAISE EXCEPTION 'a grant needs an approved request of its team for its model'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER grant_of_an_approved_request BEFORE INSERT OR UPDATE OF request_id, registered_model_id, team_id
    ON access_grant FOR EACH ROW EXECUTE FUNCTION grant_needs_an_approved_request();
"""
BACKWARD = """
DROP TRIGGER grant_of_an_approved_request ON access_grant;
DROP FUNCTION grant_needs_an_approved_request();
"""


class Migration(migrations.Migration):
    dependencies = [("access", "0001_initial")]
    operations = [
        migrations.AddConstraint(
            model_name="accessrequest",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("status__in", ("APPROVED", "REJECTED")), _negated=True),
                    ("decided_by__isnull", False),
                    _connector="OR",
                ),
                name="access_request_decided_by_somebody",
            ),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
