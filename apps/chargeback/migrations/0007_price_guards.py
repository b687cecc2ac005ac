"""A price has a published change that says exactly it; a change is decided once, by somebody else; an end moves only to
an earlier hour, and what was replaced stays replaced.
"""

from django.db import migrations

FORWARD = """
DROP TRIGGER rate_ends_once ON chargeback_rate;
CREATE TRIGGER rate_ends_only_earlier BEFORE UPDATE ON chargeback_rate
    FOR EACH ROW WHEN (OLD.active_to IS NOT NULL AND (NEW.active_to IS NULL OR NEW.active_to > OLD.active_to))
    EXECUTE FUNCTION refused('a price that ended never goes on');
CREATE TRIGGER rate_replaced_once BEFORE UPDATE ON chargeback_rate
    FOR EACH ROW WHEN (OLD.replaced_by_id IS NOT NULL AND OLD IS DISTINCT FROM NEW)
    EXECUTE FUNCTION refused('a price that was replaced never changes');
CREATE FUNCTION rate_needs_a_published_change() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM chargeback_pricechange c
        WHERE c.id = NEW.change_id AND c.status = 'PUBLISHED' AND c.registered_model_id = NEW.registered_model_id
          AND c.active_from = NEW.active_from AND (c.prices ->> NEW.sku)::numeric = NEW.unit_price_usd
    ) THEN
        RAISE EXCEPTION 'a price needs a published change that says it'
            USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER rate_of_a_published_change
    BEFORE INSERT OR UPDATE OF change_id, registered_model_id, sku, unit_price_usd, active_from
    ON chargeback_rate FOR EACH ROW EXECUTE FUNCTION rate_needs_a_published_change();
CREATE TRIGGER price_change_begins_pending BEFORE INSERT ON chargeback_pricechange
    FOR EACH ROW WHEN (NEW.status <> 'PENDING')
    EXECUTE FUNCTION refused('a change of prices waits for a decision first');
CREATE TRIGGER price_change_steps BEFORE UPDATE ON chargeback_pricechange
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps('PENDING>PUBLISHED', 'PENDING>REJECTED', 'PENDING>WITHDRAWN');
CREATE TRIGGER price_change_decided_once BEFORE UPDATE ON chargeback_pricechange
    FOR EACH ROW WHEN (OLD.status <> 'PENDING' AND OLD IS DISTINCT FROM NEW)
    EXECUTE FUNCTION refused('a decided change of prices never changes');
CREATE TRIGGER price_change_as_proposed BEFORE UPDATE ON chargeback_pricechange
    FOR EACH ROW WHEN (
        ROW(OLD.registered_model_id, OLD.prices, OLD.before, OLD.active_from, OLD.requested_by_id, OLD.requested_at)
        IS DISTINCT FROM
        ROW(NEW.registered_model_id, NEW.prices, NEW.before, NEW.active_from, NEW.requested_by_id, NEW.requested_at))
    EXECUTE FUNCTION refused('what was proposed never changes');
"""
BACKWARD = """
DROP TRIGGER rate_ends_only_earlier ON chargeback_rate;
DROP TRIGGER rate_replaced_once ON chargeback_rate;
DROP TRIGGER rate_of_a_published_change ON chargeback_rate;
DROP FUNCTION rate_needs_a_published_change();
DROP TRIGGER price_change_begins_pending ON chargeback_pricechange;
DROP TRIGGER price_change_steps ON chargeback_pricechange;
DROP TRIGGER price_change_decided_once ON chargeback_pricechange;
DROP TRIGGER price_change_as_proposed ON chargeback_pricechange;
CREATE TRIGGER rate_ends_once BEFORE UPDATE ON chargeback_rate
    FOR EACH ROW WHEN (OLD.active_to IS NOT NULL AND OLD.active_to IS DISTINCT FROM NEW.active_to)
    EXECUTE FUNCTION refused('a price that ended never changes');
"""


class Migration(migrations.Migration):
    dependencies = [("chargeback", "0006_price_changes"), ("audit", "0005_guards")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
