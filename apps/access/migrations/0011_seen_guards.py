"""What was seen when access was asked for stays as it was, and so does who looked at a grant again: another person than
whoever asked for it.
"""

from django.db import migrations

FORWARD = """
CREATE TRIGGER access_request_keeps_what_was_seen BEFORE UPDATE ON access_accessrequest
    FOR EACH ROW WHEN ((OLD.expected, OLD.use) IS DISTINCT FROM (NEW.expected, NEW.use))
    EXECUTE FUNCTION refused('what was seen when access was asked for never changes');
CREATE FUNCTION recertification_repeats_the_requester() RETURNS trigger LANGUAGE plpgsql
    SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM access_grant g JOIN access_accessrequest r ON r.id = g.request_id
        WHERE g.id = NEW.grant_id AND r.requested_by_id = NEW.requested_by_id
    ) THEN
        RAISE EXCEPTION 'a recertification names who asked for its grant'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER recertification_repeats_the_requester BEFORE INSERT ON access_recertification
    FOR EACH ROW EXECUTE FUNCTION recertification_repeats_the_requester();
CREATE TRIGGER access_recertification_two_people BEFORE INSERT OR UPDATE ON access_recertification
    FOR EACH ROW EXECUTE FUNCTION takes_two_people('requested_by_id', 'decided_by_id');
CREATE TRIGGER recertification_no_change BEFORE UPDATE OR DELETE ON access_recertification
    FOR EACH ROW EXECUTE FUNCTION refused('a recertification is immutable');
"""
BACKWARD = """
DROP TRIGGER recertification_no_change ON access_recertification;
DROP TRIGGER access_recertification_two_people ON access_recertification;
DROP TRIGGER recertification_repeats_the_requester ON access_recertification;
DROP FUNCTION recertification_repeats_the_requester();
DROP TRIGGER access_request_keeps_what_was_seen ON access_accessrequest;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("access", "0010_seen_and_recertified"),
        ("accounts", "0004_two_people"),
        ("audit", "0005_guards"),
    ]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
