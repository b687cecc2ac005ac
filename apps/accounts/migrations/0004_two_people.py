"""By which every app's trigger refuses a decision that one person takes about their own request, with whichever of
their accounts: who writes the trigger names the two columns.
"""

from django.db import migrations

FORWARD = """
CREATE FUNCTION takes_two_people() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    line jsonb := to_jsonb(NEW);
BEGIN
    IF EXISTS (
        SELECT FROM accounts_user AS one JOIN accounts_user AS other USING (person)
        WHERE one.id = (line->>TG_ARGV[0])::bigint AND other.id = (line->>TG_ARGV[1])::bigint
          AND one.id <> other.id  -- of one account the tables' own checks speak
    ) THEN
        RAISE EXCEPTION '%: nobody decides on their own request', TG_TABLE_NAME
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_person")]
    operations = [migrations.RunSQL(FORWARD, "DROP FUNCTION takes_two_people();")]
