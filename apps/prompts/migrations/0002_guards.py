"""What the database holds of the prompt record, whoever asks it: nothing goes before its time or while a legal hold
covers it, a destroyed key stays destroyed, nothing is stored under one, and each decision takes two people.
"""

from django.db import migrations

FORWARD = """
CREATE FUNCTION prompt_is_held(of_call uuid, of_team text, of_key uuid) RETURNS boolean LANGUAGE sql STABLE
    SET search_path = public, pg_temp AS $$
    SELECT EXISTS (
        SELECT 1 FROM prompts_legalhold h WHERE h.lifted_at IS NULL AND (
            (h.scope = 'CALL' AND h.value = of_call::text)
            OR (h.scope = 'TEAM' AND h.value = of_team)
            OR EXISTS (SELECT 1 FROM prompts_datakey k
                       WHERE k.id = of_key AND k.kind = h.scope AND k.token = h.value)))
$$;

-- records and their texts
CREATE FUNCTION prompt_record_stays() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF OLD.retained_until > clock_timestamp() THEN
        RAISE EXCEPTION 'a prompt stays until its time is over' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF prompt_is_held(OLD.call_id, OLD.team, OLD.data_key_id) THEN
        RAISE EXCEPTION 'a legal hold covers this prompt' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN OLD;
END $$;
CREATE TRIGGER prompt_record_no_early_end BEFORE DELETE ON prompts_promptrecord
    FOR EACH ROW EXECUTE FUNCTION prompt_record_stays();
CREATE TRIGGER prompt_record_erased_stays BEFORE UPDATE ON prompts_promptrecord
    FOR EACH ROW WHEN (OLD.place <> NEW.place AND (OLD.place = 'ERASED' OR NEW.place = 'POSTGRES'))
    EXECUTE FUNCTION refused('what was moved or erased never comes back');

CREATE FUNCTION prompt_text_of_a_living_key() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    -- what comes in while its record is being erased is not stored any more
    IF EXISTS (SELECT 1 FROM prompts_promptrecord r WHERE r.id = NEW.record_id AND r.place = 'ERASED') THEN
        RETURN NULL;
    END IF;
    -- until this text is committed, nobody destroys its key
    PERFORM 1 FROM prompts_datakey k WHERE k.id = NEW.data_key_id AND k.destroyed_at IS NULL FOR SHARE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the key of this text is destroyed'
            USING ERRCODE = 'integrity_constraint_violation', CONSTRAINT = 'prompt_text_of_a_living_key';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER prompt_text_living_key BEFORE INSERT ON prompts_prompttext
    FOR EACH ROW EXECUTE FUNCTION prompt_text_of_a_living_key();
CREATE TRIGGER prompt_text_no_change BEFORE UPDATE ON prompts_prompttext
    FOR EACH ROW WHEN (
        (OLD.ciphertext IS DISTINCT FROM NEW.ciphertext AND length(NEW.ciphertext) > 0)
        OR ROW(OLD.record_id, OLD.phase, OLD.data_key_id, OLD.nonce, OLD.size_bytes)
           IS DISTINCT FROM ROW(NEW.record_id, NEW.phase, NEW.data_key_id, NEW.nonce, NEW.size_bytes))
    EXECUTE FUNCTION refused('a kept text never changes');

-- keys
CREATE FUNCTION data_key_may_be_destroyed() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF OLD.destroyed_at IS NOT NULL THEN
        RAISE EXCEPTION 'a destroyed key stays destroyed' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF NEW.destroyed_at IS NULL OR NEW.wrapped <> ''::bytea THEN
        RAISE EXCEPTION 'a key is destroyed, and never changes' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF EXISTS (SELECT 1 FROM prompts_promptrecord r
               WHERE r.data_key_id = OLD.id AND prompt_is_held(r.call_id, r.team, r.data_key_id)) THEN
        RAISE EXCEPTION 'a legal hold covers prompts under this key' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER data_key_no_change BEFORE UPDATE ON prompts_datakey
    FOR EACH ROW EXECUTE FUNCTION data_key_may_be_destroyed();
CREATE TRIGGER data_key_no_delete BEFORE DELETE ON prompts_datakey
    FOR EACH ROW EXECUTE FUNCTION refused('a key is destroyed, and its row stays');

-- packs
CREATE TRIGGER prompt_pack_steps BEFORE UPDATE ON prompts_promptpack
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps('WAITING>STORED', 'WAITING>REMOVED', 'STORED>REMOVED');

-- retention
CREATE TRIGGER retention_revision_no_change BEFORE UPDATE OR DELETE ON prompts_retentionrevision
    FOR EACH ROW EXECUTE FUNCTION refused('a revision of a retention never changes');
CREATE FUNCTION retention_revision_needs_its_change() RETURNS trigger LANGUAGE plpgsql
    SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.number > 1 AND NOT EXISTS (
        SELECT 1 FROM prompts_retentionchange c JOIN prompts_retentionrevision b ON b.id = c.before_id
        WHERE c.id = NEW.change_id AND c.status = 'APPROVED' AND c.body = NEW.body
          AND c.data_class = NEW.data_class AND b.data_class = NEW.data_class AND b.number = NEW.number - 1
    ) THEN
        RAISE EXCEPTION 'a retention needs an approved change' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER retention_revision_of_a_change BEFORE INSERT ON prompts_retentionrevision
    FOR EACH ROW EXECUTE FUNCTION retention_revision_needs_its_change();
CREATE TRIGGER retention_change_steps BEFORE UPDATE ON prompts_retentionchange
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps('PENDING>APPROVED', 'PENDING>REJECTED', 'PENDING>WITHDRAWN');
CREATE TRIGGER retention_change_decided_once BEFORE UPDATE ON prompts_retentionchange
    FOR EACH ROW WHEN (OLD.status <> 'PENDING' AND OLD IS DISTINCT FROM NEW)
    EXECUTE FUNCTION refused('a decided change of a retention never changes');
CREATE TRIGGER retention_change_keeps_what_was_asked BEFORE UPDATE ON prompts_retentionchange
    FOR EACH ROW WHEN (
        ROW(OLD.data_class, OLD.body, OLD.before_id, OLD.justification, OLD.requested_by_id, OLD.requested_at)
        IS DISTINCT FROM
        ROW(NEW.data_class, NEW.body, NEW.before_id, NEW.justification, NEW.requested_by_id, NEW.requested_at))
    EXECUTE FUNCTION refused('what was proposed never changes');
CREATE TRIGGER retention_change_no_delete BEFORE DELETE ON prompts_retentionchange
    FOR EACH ROW EXECUTE FUNCTION refused('a change of a retention stays');
CREATE TRIGGER prompts_retentionchange_two_people BEFORE INSERT OR UPDATE ON prompts_retentionchange
    FOR EACH ROW WHEN (NEW.status <> 'WITHDRAWN')
    EXECUTE FUNCTION takes_two_people('requested_by_id', 'decided_by_id');

-- holds
CREATE FUNCTION legal_hold_needs_its_release() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF OLD.lifted_at IS NOT NULL OR NEW.lifted_at IS NULL OR NOT EXISTS (
        SELECT 1 FROM prompts_holdrelease r WHERE r.hold_id = OLD.id AND r.status = 'APPROVED'
    ) THEN
        RAISE EXCEPTION 'two people lift a legal hold, once' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    IF ROW(OLD.scope, OLD.value, OLD.secret, OLD.matter, OLD.placed_by_id, OLD.placed_at)
       IS DISTINCT FROM ROW(NEW.scope, NEW.value, NEW.secret, NEW.matter, NEW.placed_by_id, NEW.placed_at) THEN
        RAISE EXCEPTION 'what a legal hold covers never changes' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER legal_hold_lifted_by_two BEFORE UPDATE ON prompts_legalhold
    FOR EACH ROW EXECUTE FUNCTION legal_hold_needs_its_release();
CREATE TRIGGER legal_hold_no_delete BEFORE DELETE ON prompts_legalhold
    FOR EACH ROW EXECUTE FUNCTION refused('a legal hold is lifted, and its row stays');
CREATE TRIGGER hold_release_steps BEFORE UPDATE ON prompts_holdrelease
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps('PENDING>APPROVED', 'PENDING>REJECTED', 'PENDING>WITHDRAWN');
CREATE TRIGGER hold_release_decided_once BEFORE UPDATE ON prompts_holdrelease
    FOR EACH ROW WHEN (OLD.status <> 'PENDING' AND OLD IS DISTINCT FROM NEW)
    EXECUTE FUNCTION refused('a decided request never changes');
CREATE TRIGGER hold_release_keeps_what_was_asked BEFORE UPDATE ON prompts_holdrelease
    FOR EACH ROW WHEN (
        ROW(OLD.hold_id, OLD.justification, OLD.requested_by_id, OLD.requested_at)
        IS DISTINCT FROM ROW(NEW.hold_id, NEW.justification, NEW.requested_by_id, NEW.requested_at))
    EXECUTE FUNCTION refused('what was asked for never changes');
CREATE TRIGGER hold_release_no_delete BEFORE DELETE ON prompts_holdrelease
    FOR EACH ROW EXECUTE FUNCTION refused('a request stays');
CREATE TRIGGER prompts_holdrelease_two_people BEFORE INSERT OR UPDATE ON prompts_holdrelease
    FOR EACH ROW WHEN (NEW.status <> 'WITHDRAWN')
    EXECUTE FUNCTION takes_two_people('requested_by_id', 'decided_by_id');

-- erasures
CREATE TRIGGER erasure_steps BEFORE UPDATE ON prompts_erasurerequest
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps('PENDING>APPROVED', 'PENDING>REJECTED', 'PENDING>WITHDRAWN');
CREATE TRIGGER erasure_decided_once BEFORE UPDATE ON prompts_erasurerequest
    FOR EACH ROW WHEN (OLD.status <> 'PENDING' AND OLD IS DISTINCT FROM NEW)
    EXECUTE FUNCTION refused('a decided request never changes');
CREATE TRIGGER erasure_keeps_what_was_asked BEFORE UPDATE ON prompts_erasurerequest
    FOR EACH ROW WHEN (
        ROW(OLD.kind, OLD.token, OLD.secret, OLD.justification, OLD.requested_by_id, OLD.requested_at)
        IS DISTINCT FROM ROW(NEW.kind, NEW.token, NEW.secret, NEW.justification, NEW.requested_by_id, NEW.requested_at))
    EXECUTE FUNCTION refused('what was asked for never changes');
CREATE TRIGGER erasure_no_delete BEFORE DELETE ON prompts_erasurerequest
    FOR EACH ROW EXECUTE FUNCTION refused('a request stays');
CREATE TRIGGER prompts_erasurerequest_two_people BEFORE INSERT OR UPDATE ON prompts_erasurerequest
    FOR EACH ROW WHEN (NEW.status <> 'WITHDRAWN')
    EXECUTE FUNCTION takes_two_people('requested_by_id', 'decided_by_id');

-- readers
CREATE TRIGGER named_reader_no_longer BEFORE UPDATE ON prompts_namedreader
    FOR EACH ROW WHEN (NEW.active_to > OLD.active_to)
    EXECUTE FUNCTION refused('somebody is named anew, and for no longer than was said');
CREATE TRIGGER prompts_namedreader_two_people BEFORE INSERT OR UPDATE ON prompts_namedreader
    FOR EACH ROW EXECUTE FUNCTION takes_two_people('named_by_id', 'reader_id');
"""


class Migration(migrations.Migration):
    dependencies = [
        ("prompts", "0001_initial"),
        ("accounts", "0004_two_people"),
        ("audit", "0005_guards"),
    ]
    # there is no way back from what these hold
    operations = [migrations.RunSQL(FORWARD)]
