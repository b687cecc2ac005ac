"""A membership that ended stays as it was."""

from django.db import migrations

FORWARD = """
CREATE TRIGGER membership_ends_once BEFORE UPDATE ON accounts_membership
    FOR EACH ROW WHEN (OLD.active_to IS NOT NULL)
    EXECUTE FUNCTION refused('a membership that ended never changes');
"""
BACKWARD = "DROP TRIGGER membership_ends_once ON accounts_membership;"


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial"), ("audit", "0005_guards")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
