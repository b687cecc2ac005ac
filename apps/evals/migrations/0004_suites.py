"""Suites are decided by two people, and their packets are rows. Those that exist came with the product."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0006_role_review_guards'),
        ('evals', '0003_guards'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='SuitePacket',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('packets_digest', models.CharField(max_length=71)),
                ('number', models.PositiveIntegerField()),
                ('packet_id', models.CharField(max_length=40)),
                ('pages', models.PositiveIntegerField()),
                ('style', models.CharField(blank=True, default='', max_length=40)),
                ('in_subset', models.BooleanField(default=False)),
                ('content', models.JSONField()),
            ],
            options={
                'ordering': ('number',),
            },
        ),
        migrations.RenameField(
            model_name='evalsuite',
            old_name='created_at',
            new_name='requested_at',
        ),
        migrations.AddField(
            model_name='evalsuite',
            name='about',
            field=models.TextField(blank=True, default=''),
        ),
        migrations.AddField(
            model_name='evalsuite',
            name='decided_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='evalsuite',
            name='decided_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='evalsuite',
            name='decision_reason',
            field=models.TextField(blank=True, default=''),
        ),
        migrations.AddField(
            model_name='evalsuite',
            name='judges',
            field=models.JSONField(default=list),
        ),
        migrations.AddField(
            model_name='evalsuite',
            name='justification',
            field=models.TextField(blank=True, default=''),
        ),
        migrations.AddField(
            model_name='evalsuite',
            name='owner_team',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='accounts.team'),
        ),
        migrations.AddField(
            model_name='evalsuite',
            name='packets_digest',
            field=models.CharField(blank=True, default='', max_length=71),
        ),
        migrations.AddField(
            model_name='evalsuite',
            name='question',
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name='evalsuite',
            name='requested_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='evalsuite',
            name='rule',
            field=models.JSONField(default=dict),
        ),
        migrations.AddField(
            model_name='evalsuite',
            name='status',
            field=models.CharField(choices=[('PENDING', 'Waiting'), ('APPROVED', 'Approved'), ('REJECTED', 'Rejected'), ('WITHDRAWN', 'Withdrawn'), ('SHIPPED', 'Ships with the product')], default='PENDING', max_length=16),
        ),
        migrations.RunSQL(
            "UPDATE evals_evalsuite SET status = 'SHIPPED', decided_at = requested_at",
            migrations.RunSQL.noop,
        ),
        migrations.AddConstraint(
            model_name='evalsuite',
            constraint=models.UniqueConstraint(condition=models.Q(('status', 'PENDING')), fields=('slug',), name='suite_one_pending'),
        ),
        migrations.AddConstraint(
            model_name='evalsuite',
            constraint=models.CheckConstraint(condition=models.Q(('status', 'SHIPPED'), ('requested_by__isnull', False), _connector='OR'), name='suite_asked_for_by_somebody'),
        ),
        migrations.AddConstraint(
            model_name='evalsuite',
            constraint=models.CheckConstraint(condition=models.Q(('decided_by__isnull', True), ('status', 'WITHDRAWN'), models.Q(('decided_by', models.F('requested_by')), _negated=True), _connector='OR'), name='suite_not_decided_by_requester'),
        ),
        migrations.AddConstraint(
            model_name='evalsuite',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('status__in', ('APPROVED', 'REJECTED')), _negated=True), ('decided_by__isnull', False), _connector='OR'), name='suite_decided_by_somebody'),
        ),
        migrations.AddConstraint(
            model_name='evalsuite',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('decided_at__isnull', True), ('status', 'PENDING')), models.Q(models.Q(('status', 'PENDING'), _negated=True), ('decided_at__isnull', False)), _connector='OR'), name='suite_decided_at_when_decided'),
        ),
        migrations.AddConstraint(
            model_name='suitepacket',
            constraint=models.UniqueConstraint(fields=('packets_digest', 'packet_id'), name='suite_packet_once'),
        ),
        migrations.AddConstraint(
            model_name='suitepacket',
            constraint=models.UniqueConstraint(fields=('packets_digest', 'number'), name='suite_packet_number_once'),
        ),
    ]
