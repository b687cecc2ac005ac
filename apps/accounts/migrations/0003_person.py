"""Which person an account belongs to. Accounts of before are each a person's own; the next sign-in links them."""

import uuid

import django.db.models.functions.text
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_guards")]
    operations = [
        migrations.AddField("user", "person", models.UUIDField(editable=False, null=True)),
        # each row its own: a default would be one value for all of them
        migrations.RunSQL("UPDATE accounts_user SET person = gen_random_uuid()", migrations.RunSQL.noop),
        migrations.AlterField("user", "person", models.UUIDField(default=uuid.uuid4, editable=False)),
        migrations.AddIndex("user", models.Index(fields=["person"], name="user_by_person")),
        migrations.AddIndex(
            "user", models.Index(django.db.models.functions.text.Lower("email"), name="user_by_email")
        ),
        migrations.AddIndex("user", models.Index(fields=["subject"], name="user_by_subject")),
    ]
