"""A decision takes two people, not only two accounts."""

from django.db import migrations

TABLES = ("access_accessrequest", "access_budgetchange", "access_boost")
FORWARD = "".join(
    f"""
    CREATE TRIGGER {table}_two_people BEFORE INSERT OR UPDATE ON {table}
        FOR EACH ROW WHEN (NEW.decided_by_id IS NOT NULL AND NEW.status <> 'WITHDRAWN')
        EXECUTE FUNCTION takes_two_people('requested_by_id', 'decided_by_id');
    """
    for table in TABLES
)
BACKWARD = "".join(f"DROP TRIGGER {table}_two_people ON {table};" for table in TABLES)


class Migration(migrations.Migration):
    dependencies = [("access", "0008_boost_ends"), ("accounts", "0004_two_people")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
