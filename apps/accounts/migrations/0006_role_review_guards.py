"""A look at a role is asked for, decided once by another person, and stays as it was decided."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER role_review_steps BEFORE UPDATE ON accounts_rolereview
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps('PENDING>KEPT', 'PENDING>TAKEN', 'PENDING>LAPSED');
CREATE TRIGGER role_review_begins_pending BEFORE INSERT ON accounts_rolereview
    FOR EACH ROW WHEN (NEW.status <> 'PENDING')
    EXECUTE FUNCTION refused('a look at a role is asked for first');
CREATE TRIGGER role_review_decided_once BEFORE UPDATE ON accounts_rolereview
    FOR EACH ROW WHEN (OLD.status <> 'PENDING' AND OLD IS DISTINCT FROM NEW)
    EXECUTE FUNCTION refused('a look at a role never changes');
CREATE TRIGGER role_review_of_one_role BEFORE UPDATE ON accounts_rolereview
    FOR EACH ROW WHEN ((OLD.requested_by_id, OLD.role, OLD.requested_at, OLD.due_at)
                       IS DISTINCT FROM
                       (NEW.requested_by_id, NEW.role, NEW.requested_at, NEW.due_at))
    EXECUTE FUNCTION refused('a look at a role never changes');
CREATE TRIGGER accounts_rolereview_two_people BEFORE INSERT OR UPDATE ON accounts_rolereview
    FOR EACH ROW EXECUTE FUNCTION takes_two_people('requested_by_id', 'decided_by_id');
CREATE TRIGGER role_review_never_deleted BEFORE DELETE ON accounts_rolereview
    FOR EACH ROW EXECUTE FUNCTION refused('a look at a role stays in the record');
"""
BACKWARD = """
DROP TRIGGER role_review_never_deleted ON accounts_rolereview;
DROP TRIGGER accounts_rolereview_two_people ON accounts_rolereview;
DROP TRIGGER role_review_of_one_role ON accounts_rolereview;
DROP TRIGGER role_review_decided_once ON accounts_rolereview;
DROP TRIGGER role_review_begins_pending ON accounts_rolereview;
DROP TRIGGER role_review_steps ON accounts_rolereview;
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0005_role_reviews"), ("audit", "0005_guards")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
