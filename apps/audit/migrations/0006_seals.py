"""Each event's content hash, and the tables of what makes the record evidence. Events of before get theirs here, once."""

import hashlib
from datetime import UTC

import apps.common.ids
import django.db.models.deletion
import rfc8785
from django.db import migrations, models

FIELDS = ("actor", "actor_name", "action", "target_type", "target_id", "target_label", "data", "request_id")


def fill(apps, schema_editor):  # type: ignore[no-untyped-def]
    """Hash what each event says, as it was on this day; it was recorded when it happened."""
    events = apps.get_model("audit", "AuditEvent").objects
    if not events.exists():
        return
    schema_editor.execute("ALTER TABLE audit_auditevent DISABLE TRIGGER USER")
    for event in events.iterator():
        at = event.occurred_at.astimezone(UTC).isoformat(timespec="microseconds")
        facts = {"id": str(event.pk), "occurred_at": at, "recorded_at": at}
        entry = rfc8785.dumps(facts | {name: getattr(event, name) for name in FIELDS})
        digest = hashlib.sha256(b"\x00" + entry).digest()
        events.filter(pk=event.pk).update(recorded_at=event.occurred_at, content_hash=digest)
    schema_editor.execute("SET CONSTRAINTS ALL IMMEDIATE")
    schema_editor.execute("ALTER TABLE audit_auditevent ENABLE TRIGGER USER")


class Migration(migrations.Migration):

    dependencies = [
        ('audit', '0005_guards'),
    ]

    operations = [
        migrations.CreateModel(
            name='Checkpoint',
            fields=[
                ('size', models.BigIntegerField(primary_key=True, serialize=False)),
                ('root', models.BinaryField()),
                ('note', models.TextField()),
                ('signed_at', models.DateTimeField()),
                ('anchored_at', models.DateTimeField(blank=True, null=True)),
                ('problem', models.TextField(blank=True, default='')),
            ],
            options={
                'ordering': ('-size',),
            },
        ),
        migrations.CreateModel(
            name='Unsealed',
            fields=[
                ('event', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, primary_key=True, related_name='+', serialize=False, to='audit.auditevent')),
            ],
        ),
        migrations.CreateModel(
            name='Verification',
            fields=[
                ('id', models.UUIDField(default=apps.common.ids.ordered_id, editable=False, primary_key=True, serialize=False)),
                ('verified_at', models.DateTimeField()),
                ('size', models.BigIntegerField()),
                ('anchored_size', models.BigIntegerField()),
                ('found', models.BigIntegerField()),
                ('findings', models.JSONField(default=list)),
            ],
            options={
                'ordering': ('-verified_at',),
            },
        ),
        migrations.AddField(
            model_name='auditevent',
            name='content_hash',
            field=models.BinaryField(null=True),
        ),
        migrations.AddField(
            model_name='auditevent',
            name='recorded_at',
            field=models.DateTimeField(null=True),
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
        migrations.AlterField(model_name='auditevent', name='content_hash', field=models.BinaryField()),
        migrations.AlterField(model_name='auditevent', name='recorded_at', field=models.DateTimeField()),
        migrations.CreateModel(
            name='AuditSeal',
            fields=[
                ('sequence', models.BigIntegerField(primary_key=True, serialize=False)),
                ('leaf', models.BinaryField()),
                ('previous', models.BinaryField()),
                ('hash', models.BinaryField()),
                ('sealed_at', models.DateTimeField()),
                ('event', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='seal', to='audit.auditevent')),
            ],
            options={
                'ordering': ('sequence',),
            },
        ),
        migrations.CreateModel(
            name='AuditTile',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('level', models.SmallIntegerField()),
                ('index', models.BigIntegerField()),
                ('hash', models.BinaryField()),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('level', 'index'), name='audit_tile_once')],
            },
        ),
    ]
