"""A decision takes two people, not only two accounts."""

from django.db import migrations

TABLES = ("promotions_approval",)
FORWARD = "".join(
    f"""
    CREATE TRIGGER {table}_two_people BEFORE INSERT OR UPDATE ON {table}
        FOR EACH ROW WHEN (true)
        EXECUTE FUNCTION takes_two_people('requested_by_id', 'approver_id');
    """
    for table in TABLES
)
BACKWARD = "".join(f"DROP TRIGGER {table}_two_people ON {table};" for table in TABLES)


class Migration(migrations.Migration):
    dependencies = [("promotions", "0013_guards"), ("accounts", "0004_two_people")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
