from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('audit', '0009_by_request'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='checkpoint',
            index=models.Index(condition=models.Q(('anchored_at', None)), fields=['size'], name='checkpoint_not_anchored'),
        ),
    ]
