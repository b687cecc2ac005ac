"""That a decision took two people is asked when it is made: what two accounts turn out to be later keeps nobody from
carrying it out, voiding it or going back from it.
"""

from django.db import migrations

FORWARD = """
CREATE OR REPLACE FUNCTION takes_two_people() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    line jsonb := to_jsonb(NEW);
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF ROW(to_jsonb(OLD)->>TG_ARGV[0], to_jsonb(OLD)->>TG_ARGV[1])
           IS NOT DISTINCT FROM ROW(line->>TG_ARGV[0], line->>TG_ARGV[1]) THEN
            RETURN NEW;
        END IF;
    END IF;
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
    dependencies = [("accounts", "0006_role_review_guards")]
    # rows of accounts that were linked since could not be changed any more
    operations = [migrations.RunSQL(FORWARD)]
