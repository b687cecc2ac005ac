"""Budgets, boosts, what a call holds against them; each grant's monthly budget becomes a row."""

import django.contrib.postgres.constraints
import django.contrib.postgres.fields
import django.contrib.postgres.fields.ranges
import django.db.models.deletion
import django.db.models.functions.comparison
import django.db.models.functions.math
import uuid
from django.conf import settings
from django.db import migrations, models


GIVE_GRANTS_THEIRS = """
INSERT INTO access_budget (id, series, team_id, registered_model_id, unit, amount, zone, mode, thresholds,
    active_from, active_to, set_by_id, reason, grant_id, end_reason)
SELECT gen_random_uuid(), gen_random_uuid(), g.team_id, g.registered_model_id, 'USD', g.monthly_budget_usd, 'UTC',
    'HARD', '{80,100}', g.active_from, LEAST(g.active_to, g.revoked_at), r.decided_by_id,
    'Asked for with the access, and approved with it.', g.id, ''
FROM access_grant g JOIN access_accessrequest r ON r.id = g.request_id
WHERE LEAST(g.active_to, g.revoked_at) >= g.active_from AND g.monthly_budget_usd > 0
"""


class Migration(migrations.Migration):

    dependencies = [
        ('access', '0004_guards'),
        ('accounts', '0002_guards'),
        ('catalog', '0004_guards'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Budget',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('series', models.UUIDField(default=uuid.uuid4, editable=False)),
                ('unit', models.CharField(choices=[('USD', 'US dollars, by the price list'), ('TOKENS', 'Tokens, in and out')], max_length=6)),
                ('amount', models.DecimalField(decimal_places=2, max_digits=20)),
                ('zone', models.CharField(choices=[('UTC', 'UTC'), ('America/New_York', 'Eastern (New York)'), ('America/Chicago', 'Central (Chicago)'), ('America/Denver', 'Mountain (Denver)'), ('America/Los_Angeles', 'Pacific (Los Angeles)')], max_length=32)),
                ('mode', models.CharField(choices=[('WARN', 'Warn only'), ('SOFT', 'Warn, and ask for a boost'), ('HARD', 'Refuse calls')], max_length=4)),
                ('thresholds', django.contrib.postgres.fields.ArrayField(base_field=models.PositiveSmallIntegerField(), size=None)),
                ('active_from', models.DateTimeField()),
                ('active_to', models.DateTimeField(blank=True, null=True)),
                ('reason', models.TextField()),
                ('end_reason', models.TextField(blank=True, default='')),
                ('cost_center', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='budgets', to='accounts.costcenter')),
                ('ended_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('grant', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='budgets', to='access.grant')),
                ('registered_model', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='budgets', to='catalog.registeredmodel')),
                ('set_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('team', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='budgets', to='accounts.team')),
            ],
            options={
                'ordering': ('-active_from', '-id'),
            },
        ),
        migrations.CreateModel(
            name='BudgetChange',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('justification', models.TextField()),
                ('requested_at', models.DateTimeField()),
                ('status', models.CharField(choices=[('PENDING', 'Waiting for a decision'), ('APPROVED', 'Approved'), ('REJECTED', 'Rejected'), ('WITHDRAWN', 'Withdrawn')], default='PENDING', max_length=16)),
                ('decided_at', models.DateTimeField(blank=True, null=True)),
                ('decision_reason', models.TextField(blank=True, default='')),
                ('amount', models.DecimalField(decimal_places=2, max_digits=20)),
                ('zone', models.CharField(choices=[('UTC', 'UTC'), ('America/New_York', 'Eastern (New York)'), ('America/Chicago', 'Central (Chicago)'), ('America/Denver', 'Mountain (Denver)'), ('America/Los_Angeles', 'Pacific (Los Angeles)')], max_length=32)),
                ('mode', models.CharField(choices=[('WARN', 'Warn only'), ('SOFT', 'Warn, and ask for a boost'), ('HARD', 'Refuse calls')], max_length=4)),
                ('thresholds', django.contrib.postgres.fields.ArrayField(base_field=models.PositiveSmallIntegerField(), size=None)),
                ('ends', models.BooleanField(default=False)),
                ('budget', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='%(class)ss', to='access.budget')),
                ('decided_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('requested_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ('-requested_at', '-id'),
                'abstract': False,
            },
        ),
        migrations.AddField(
            model_name='budget',
            name='change',
            field=models.OneToOneField(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='made', to='access.budgetchange'),
        ),
        migrations.CreateModel(
            name='BudgetReservation',
            fields=[
                ('cost_center', models.CharField(blank=True, default='', max_length=32)),
                ('team', models.CharField(blank=True, default='', max_length=63)),
                ('model', models.CharField(blank=True, default='', max_length=40)),
                ('usd', models.DecimalField(blank=True, decimal_places=12, max_digits=30, null=True)),
                ('tokens', models.BigIntegerField()),
                ('call_id', models.UUIDField(primary_key=True, serialize=False)),
                ('reserved_at', models.DateTimeField()),
                ('expires_at', models.DateTimeField()),
                ('closed_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('closed_at__isnull', True)), fields=['reserved_at'], name='budget_reservation_open')],
                'constraints': [models.CheckConstraint(condition=models.Q(('expires_at__gt', models.F('reserved_at'))), name='budget_reservation_expires_later'), models.CheckConstraint(condition=models.Q(('tokens__gte', 0), models.Q(('usd__isnull', True), ('usd__gte', 0), _connector='OR')), name='budget_reservation_not_negative')],
            },
        ),
        migrations.CreateModel(
            name='SettledCall',
            fields=[
                ('cost_center', models.CharField(blank=True, default='', max_length=32)),
                ('team', models.CharField(blank=True, default='', max_length=63)),
                ('model', models.CharField(blank=True, default='', max_length=40)),
                ('usd', models.DecimalField(blank=True, decimal_places=12, max_digits=30, null=True)),
                ('tokens', models.BigIntegerField()),
                ('call_id', models.UUIDField(primary_key=True, serialize=False)),
                ('occurred_at', models.DateTimeField()),
                ('settled_at', models.DateTimeField()),
                ('summed_at', models.DateTimeField(blank=True, null=True)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('summed_at__isnull', True)), fields=['occurred_at'], name='settled_call_not_summed')],
                'constraints': [models.CheckConstraint(condition=models.Q(('tokens__gte', 0), models.Q(('usd__isnull', True), ('usd__gte', 0), _connector='OR')), name='settled_call_not_negative')],
            },
        ),
        migrations.CreateModel(
            name='Boost',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('justification', models.TextField()),
                ('requested_at', models.DateTimeField()),
                ('status', models.CharField(choices=[('PENDING', 'Waiting for a decision'), ('APPROVED', 'Approved'), ('REJECTED', 'Rejected'), ('WITHDRAWN', 'Withdrawn')], default='PENDING', max_length=16)),
                ('decided_at', models.DateTimeField(blank=True, null=True)),
                ('decision_reason', models.TextField(blank=True, default='')),
                ('amount', models.DecimalField(decimal_places=2, max_digits=20)),
                ('ends_at', models.DateTimeField()),
                ('decided_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('requested_by', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('budget', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='%(class)ss', to='access.budget')),
            ],
            options={
                'ordering': ('-requested_at', '-id'),
                'abstract': False,
                'constraints': [models.UniqueConstraint(condition=models.Q(('status', 'PENDING')), fields=('budget',), name='boost_one_pending_per_budget'), models.CheckConstraint(condition=models.Q(('decided_by__isnull', True), ('status', 'WITHDRAWN'), models.Q(('decided_by', models.F('requested_by')), _negated=True), _connector='OR'), name='boost_not_decided_by_requester'), models.CheckConstraint(condition=models.Q(models.Q(('status__in', ('APPROVED', 'REJECTED')), _negated=True), ('decided_by__isnull', False), _connector='OR'), name='boost_decided_by_somebody'), models.CheckConstraint(condition=models.Q(models.Q(('decided_at__isnull', True), ('status', 'PENDING')), models.Q(models.Q(('status', 'PENDING'), _negated=True), ('decided_at__isnull', False)), _connector='OR'), name='boost_decided_at_when_decided'), models.CheckConstraint(condition=models.Q(('amount__gt', 0)), name='boost_is_more_than_nothing'), models.CheckConstraint(condition=models.Q(models.Q(('status', 'APPROVED'), _negated=True), ('decided_at__lt', models.F('ends_at')), _connector='OR'), name='boost_ends_after_it_begins')],
            },
        ),
        migrations.CreateModel(
            name='BudgetAlert',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('series', models.UUIDField()),
                ('month', models.DateField()),
                ('threshold', models.PositiveSmallIntegerField()),
                ('spent', models.DecimalField(decimal_places=12, max_digits=30)),
                ('limit', models.DecimalField(decimal_places=2, max_digits=20)),
                ('boost', models.DecimalField(decimal_places=2, max_digits=20)),
                ('told_at', models.DateTimeField()),
                ('budget', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='alerts', to='access.budget')),
            ],
            options={
                'ordering': ('-told_at', '-threshold'),
                'constraints': [models.UniqueConstraint(fields=('series', 'month', 'threshold'), name='budget_alert_once_per_month_and_threshold')],
            },
        ),
        migrations.AddConstraint(
            model_name='budgetchange',
            constraint=models.UniqueConstraint(condition=models.Q(('status', 'PENDING')), fields=('budget',), name='budgetchange_one_pending_per_budget'),
        ),
        migrations.AddConstraint(
            model_name='budgetchange',
            constraint=models.CheckConstraint(condition=models.Q(('decided_by__isnull', True), ('status', 'WITHDRAWN'), models.Q(('decided_by', models.F('requested_by')), _negated=True), _connector='OR'), name='budgetchange_not_decided_by_requester'),
        ),
        migrations.AddConstraint(
            model_name='budgetchange',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status__in', ('APPROVED', 'REJECTED')), _negated=True), ('decided_by__isnull', False), _connector='OR'), name='budgetchange_decided_by_somebody'),
        ),
        migrations.AddConstraint(
            model_name='budgetchange',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('decided_at__isnull', True), ('status', 'PENDING')), models.Q(models.Q(('status', 'PENDING'), _negated=True), ('decided_at__isnull', False)), _connector='OR'), name='budgetchange_decided_at_when_decided'),
        ),
        migrations.AddIndex(
            model_name='budget',
            index=models.Index(fields=['series', '-active_from'], name='budget_by_series'),
        ),
        migrations.AddIndex(
            model_name='budget',
            index=models.Index(fields=['-active_from', '-id'], name='budget_newest'),
        ),
        migrations.AddConstraint(
            model_name='budget',
            constraint=django.contrib.postgres.constraints.ExclusionConstraint(expressions=((django.db.models.functions.comparison.Coalesce('cost_center', models.Value(0)), '='), (django.db.models.functions.comparison.Coalesce('team', models.Value(0)), '='), (django.db.models.functions.comparison.Coalesce('registered_model', models.Value(0)), '='), ('unit', '='), (models.Func('active_from', 'active_to', function='tstzrange', output_field=django.contrib.postgres.fields.ranges.DateTimeRangeField()), '&&')), name='budget_one_per_scope_and_unit_at_a_time'),
        ),
        migrations.AddConstraint(
            model_name='budget',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('cost_center__isnull', False), ('registered_model', None), ('team', None)), models.Q(('cost_center', None), ('team__isnull', False)), _connector='OR'), name='budget_of_a_cost_center_or_a_team'),
        ),
        migrations.AddConstraint(
            model_name='budget',
            constraint=models.CheckConstraint(condition=models.Q(('amount__gt', 0)), name='budget_is_more_than_nothing'),
        ),
        migrations.AddConstraint(
            model_name='budget',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('unit', 'TOKENS'), _negated=True), ('amount', django.db.models.functions.math.Floor('amount')), _connector='OR'), name='budget_of_whole_tokens'),
        ),
        migrations.AddConstraint(
            model_name='budget',
            constraint=models.CheckConstraint(condition=models.Q(('active_to__isnull', True), ('active_to__gte', models.F('active_from')), _connector='OR'), name='budget_ends_not_before_it_begins'),
        ),
        # last: no table is altered while checks of its new rows wait
        migrations.RunSQL(GIVE_GRANTS_THEIRS, migrations.RunSQL.noop),
    ]
