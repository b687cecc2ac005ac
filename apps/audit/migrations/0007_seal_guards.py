"""Seals, tiles, checkpoints and verifications are facts too; a seal continues the one before it and seals its event as
the event is; every event waits for its seal.

A checkpoint's row changes in one way only: it is anchored, once, or a problem is said about it.
"""

from django.db import migrations

FACTS = ("audit_auditseal", "audit_audittile", "audit_verification")
IMMUTABLE = """
CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table}
    FOR EACH ROW EXECUTE FUNCTION refused('{table} holds facts: they never change');
CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION refused('{table} holds facts: they never change');
"""
FORWARD = "".join(IMMUTABLE.format(table=table) for table in FACTS) + """
CREATE FUNCTION audit_event_waits() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit_unsealed (event_id) SELECT id FROM added;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_event_waits AFTER INSERT ON audit_auditevent
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION audit_event_waits();
INSERT INTO audit_unsealed (event_id) SELECT id FROM audit_auditevent;

CREATE FUNCTION audit_seal_continues() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    wrong bigint;
BEGIN
    SELECT min(one.sequence) INTO wrong
    FROM added AS one
    JOIN audit_auditevent AS event ON event.id = one.event_id
    LEFT JOIN audit_auditseal AS before ON before.sequence = one.sequence - 1
    WHERE one.leaf <> event.content_hash
       OR one.previous IS DISTINCT FROM
          CASE WHEN one.sequence = 0 THEN decode(repeat('00', 32), 'hex') ELSE before.hash END
       OR one.hash <> sha256(one.previous || one.leaf);
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'seal % does not continue the record', wrong
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER audit_seal_continues AFTER INSERT ON audit_auditseal
    REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION audit_seal_continues();
ALTER TABLE audit_auditseal ADD CONSTRAINT audit_seal_sequence CHECK (sequence >= 0);

CREATE TRIGGER audit_unsealed_no_change BEFORE UPDATE ON audit_unsealed
    FOR EACH ROW EXECUTE FUNCTION refused('an event waits for its seal, and for nothing else');
CREATE TRIGGER audit_unsealed_sealed AFTER DELETE ON audit_unsealed
    REFERENCING OLD TABLE AS taken FOR EACH STATEMENT EXECUTE FUNCTION audit_is_sealed();
CREATE TRIGGER audit_checkpoint_stays BEFORE UPDATE ON audit_checkpoint
    FOR EACH ROW WHEN ((NEW.size, NEW.root, NEW.note, NEW.signed_at) IS DISTINCT FROM
                       (OLD.size, OLD.root, OLD.note, OLD.signed_at) OR OLD.anchored_at IS NOT NULL)
    EXECUTE FUNCTION refused('a signed checkpoint never changes');
CREATE TRIGGER audit_checkpoint_no_delete BEFORE DELETE ON audit_checkpoint
    FOR EACH ROW EXECUTE FUNCTION refused('a signed checkpoint is never taken away');
CREATE TRIGGER audit_checkpoint_no_truncate BEFORE TRUNCATE ON audit_checkpoint
    FOR EACH STATEMENT EXECUTE FUNCTION refused('a signed checkpoint is never taken away');
"""
SEALED = """
CREATE FUNCTION audit_is_sealed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    waits uuid;
BEGIN
    SELECT taken.event_id INTO waits FROM taken
    LEFT JOIN audit_auditseal AS seal USING (event_id) WHERE seal.sequence IS NULL LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'event % waits for its seal', waits
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NULL;
END $$;
"""
BACKWARD = """
DROP TRIGGER audit_event_waits ON audit_auditevent;
DROP FUNCTION audit_event_waits();
DROP TRIGGER audit_seal_continues ON audit_auditseal;
DROP FUNCTION audit_seal_continues();
ALTER TABLE audit_auditseal DROP CONSTRAINT audit_seal_sequence;
DROP TRIGGER audit_unsealed_no_change ON audit_unsealed;
DROP TRIGGER audit_unsealed_sealed ON audit_unsealed;
DROP FUNCTION audit_is_sealed();
DROP TRIGGER audit_checkpoint_stays ON audit_checkpoint;
DROP TRIGGER audit_checkpoint_no_delete ON audit_checkpoint;
DROP TRIGGER audit_checkpoint_no_truncate ON audit_checkpoint;
""" + "".join(f"DROP TRIGGER {table}_no_change ON {table}; DROP TRIGGER {table}_no_truncate ON {table};" for table in FACTS)


class Migration(migrations.Migration):
    dependencies = [("audit", "0006_seals")]
    operations = [migrations.RunSQL(SEALED + FORWARD, BACKWARD)]
