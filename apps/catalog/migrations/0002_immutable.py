"""A published version never changes: once its digest is set, digest, number and model stay, and so do its files' facts."""

from django.db import migrations

FORWARD = """
CREATE FUNCTION published_version_is_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.manifest_digest <> '' AND (
        NEW.manifest_digest <> OLD.manifest_digest OR NEW.number <> OLD.number
        OR NEW.registered_model_id <> OLD.registered_model_id
    ) THEN
        RAISE EXCEPTION 'a published model version never changes' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER version_published_no_change BEFORE UPDATE ON catalog_modelversion
    FOR EACH ROW EXECUTE FUNCTION published_version_is_immutable();

CREATE FUNCTION model_file_is_immutable() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.name <> OLD.name OR NEW.size <> OLD.size OR NEW.sha256 <> OLD.sha256
       OR NEW.version_id <> OLD.version_id THEN
        RAISE EXCEPTION 'a declared model file never changes' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER model_file_no_change BEFORE UPDATE ON catalog_modelfile
    FOR EACH ROW EXECUTE FUNCTION model_file_is_immutable();
"""
BACKWARD = """
DROP TRIGGER version_published_no_change ON catalog_modelversion;
DROP FUNCTION published_version_is_immutable();
DROP TRIGGER model_file_no_change ON catalog_modelfile;
DROP FUNCTION model_file_is_immutable();
"""


class Migration(migrations.Migration):
    dependencies = [("catalog", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
