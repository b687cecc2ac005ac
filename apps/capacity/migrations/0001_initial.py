"""Pools' revisions and the requests to change them. What was asked and who decided never changes afterwards."""


import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models


FORWARD = """
CREATE FUNCTION capacity_request_keeps_its_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF ROW(NEW.pool, NEW.base_id, NEW.text, NEW.digest, NEW.requested_by_id)
       IS DISTINCT FROM ROW(OLD.pool, OLD.base_id, OLD.text, OLD.digest, OLD.requested_by_id) THEN
        RAISE EXCEPTION 'what a capacity request asks never changes' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF OLD.decided_by_id IS NOT NULL AND NEW.decided_by_id IS DISTINCT FROM OLD.decided_by_id THEN
        RAISE EXCEPTION 'who decided a capacity request never changes' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER capacity_request_change BEFORE UPDATE ON capacity_capacityrequest
    FOR EACH ROW EXECUTE FUNCTION capacity_request_keeps_its_change();

CREATE FUNCTION node_pool_revision_is_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'node pool revisions are immutable' USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER node_pool_revision_no_change BEFORE UPDATE OR DELETE ON capacity_nodepoolrevision
    FOR EACH ROW EXECUTE FUNCTION node_pool_revision_is_immutable();
"""
BACKWARD = """
DROP TRIGGER capacity_request_change ON capacity_capacityrequest;
DROP FUNCTION capacity_request_keeps_its_change();
DROP TRIGGER node_pool_revision_no_change ON capacity_nodepoolrevision;
DROP FUNCTION node_pool_revision_is_immutable();
"""


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='CapacityRequest',
            fields=[
                ('next_check_at', models.DateTimeField(blank=True, db_index=True, null=True)),
                ('attempts', models.PositiveIntegerField(default=0)),
                ('generation', models.PositiveIntegerField(default=1)),
                ('observed_generation', models.PositiveIntegerField(default=0)),
                ('reason', models.CharField(blank=True, default='', max_length=64)),
                ('message', models.TextField(blank=True, default='')),
                ('observed_at', models.DateTimeField(blank=True, null=True)),
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('pool', models.CharField(max_length=63)),
                ('text', models.TextField()),
                ('digest', models.CharField(max_length=71)),
                ('justification', models.TextField()),
                ('requested_at', models.DateTimeField()),
                ('status', models.CharField(choices=[('PENDING', 'Waiting for a decision'), ('APPROVED', 'Approved, to be committed'), ('COMMITTED', 'Committed, to be applied'), ('APPLIED', 'Applied'), ('FAILED', 'Failed'), ('REJECTED', 'Rejected'), ('WITHDRAWN', 'Withdrawn')], default='PENDING', max_length=16)),
                ('decided_at', models.DateTimeField(blank=True, null=True)),
                ('decision_reason', models.TextField(blank=True, default='')),
                ('commit', models.CharField(blank=True, default='', max_length=40)),
                ('moved_at', models.DateTimeField(blank=True, null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('decided_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('requested_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('-requested_at', '-id'),
            },
        ),
        migrations.CreateModel(
            name='NodePoolRevision',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('pool', models.CharField(max_length=63)),
                ('number', models.PositiveIntegerField()),
                ('text', models.TextField()),
                ('digest', models.CharField(max_length=71)),
                ('commit', models.CharField(blank=True, default='', max_length=40)),
                ('recorded_at', models.DateTimeField()),
                ('request', models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='revision', to='capacity.capacityrequest')),
            ],
            options={
                'ordering': ('pool', '-number'),
            },
        ),
        migrations.AddField(
            model_name='capacityrequest',
            name='base',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='requests', to='capacity.nodepoolrevision'),
        ),
        migrations.AddConstraint(
            model_name='nodepoolrevision',
            constraint=models.UniqueConstraint(fields=('pool', 'number'), name='node_pool_revision_once'),
        ),
        migrations.AddIndex(
            model_name='capacityrequest',
            index=models.Index(fields=['-requested_at', '-id'], name='capacity_request_newest'),
        ),
        migrations.AddConstraint(
            model_name='capacityrequest',
            constraint=models.UniqueConstraint(condition=models.Q(('status__in', ('PENDING', 'APPROVED', 'COMMITTED'))), fields=('pool',), name='capacity_request_one_open_per_pool'),
        ),
        migrations.AddConstraint(
            model_name='capacityrequest',
            constraint=models.CheckConstraint(condition=models.Q(('decided_by__isnull', True), ('status', 'WITHDRAWN'), models.Q(('decided_by', models.F('requested_by')), _negated=True), _connector='OR'), name='capacity_request_not_decided_by_requester'),
        ),
        migrations.AddConstraint(
            model_name='capacityrequest',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ('PENDING', 'WITHDRAWN')), ('decided_by__isnull', False), _connector='OR'), name='capacity_request_decided_by_somebody'),
        ),
        migrations.AddConstraint(
            model_name='capacityrequest',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('decided_at__isnull', True), ('status', 'PENDING')), models.Q(models.Q(('status', 'PENDING'), _negated=True), ('decided_at__isnull', False)), _connector='OR'), name='capacity_request_decided_at_when_decided'),
        ),
        migrations.AddConstraint(
            model_name='capacityrequest',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status__in', ('COMMITTED', 'APPLIED')), _negated=True), models.Q(('commit', ''), _negated=True), _connector='OR'), name='capacity_request_has_its_commit'),
        ),
        migrations.RunSQL(FORWARD, BACKWARD),
    ]
