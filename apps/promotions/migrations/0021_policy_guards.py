"""A promotion keeps the policy that it was proposed under, and no rollout begins with fewer approvals than that asks for.

A policy comes into force through a change that somebody else approved, and never changes. Once its
rollout began, a promotion is neither decided nor ended again.
"""

import django.db.models.deletion
from django.db import migrations, models

FORWARD = """
DROP TRIGGER promotion_steps ON promotions_promotion;
CREATE TRIGGER promotion_steps BEFORE UPDATE ON promotions_promotion
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps(
        'PENDING>APPROVED', 'PENDING>REJECTED', 'PENDING>WITHDRAWN', 'PENDING>EXPIRED',
        'APPROVED>PENDING', 'APPROVED>WITHDRAWN', 'APPROVED>EXPIRED', 'APPROVED>SUPERSEDED');
DROP TRIGGER promotion_decided_once ON promotions_promotion;
CREATE TRIGGER promotion_decided_once BEFORE UPDATE ON promotions_promotion
    FOR EACH ROW WHEN (
        OLD.status <> 'PENDING' AND NEW.status <> 'PENDING' AND OLD.decided_at IS DISTINCT FROM NEW.decided_at)
    EXECUTE FUNCTION refused('a decided promotion never changes');

CREATE FUNCTION promotion_that_began_stays() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM promotions_rollout r WHERE r.promotion_id = OLD.id) THEN
        RAISE EXCEPTION 'a promotion whose rollout began never changes' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER promotion_that_began BEFORE UPDATE ON promotions_promotion
    FOR EACH ROW WHEN (OLD.status = 'APPROVED' AND NEW.status <> 'APPROVED')
    EXECUTE FUNCTION promotion_that_began_stays();

CREATE OR REPLACE FUNCTION promotion_keeps_what_was_asked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF ROW(NEW.registered_model_id, NEW.model_version_id, NEW.baseline_id, NEW.eval_run_id, NEW.manifest_digest,
           NEW.requested_by_id, NEW.requested_at, NEW.justification, NEW.serving_class, NEW.pre_warm,
           NEW.without_traffic, NEW.policy_revision_id)
       IS DISTINCT FROM ROW(OLD.registered_model_id, OLD.model_version_id, OLD.baseline_id, OLD.eval_run_id,
           OLD.manifest_digest, OLD.requested_by_id, OLD.requested_at, OLD.justification, OLD.serving_class,
           OLD.pre_warm, OLD.without_traffic, OLD.policy_revision_id) THEN
        RAISE EXCEPTION 'what a promotion asks never changes' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE OR REPLACE FUNCTION rollout_needs_an_approval() RETURNS trigger LANGUAGE plpgsql
    SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        SELECT 1 FROM promotions_promotion p JOIN promotions_policyrevision r ON r.id = p.policy_revision_id
        WHERE p.id = NEW.promotion_id AND p.status = 'APPROVED'
          AND p.registered_model_id = NEW.registered_model_id AND p.model_version_id = NEW.model_version_id
          AND (r.body->>'approvals')::int <= (
              SELECT count(DISTINCT u.person) FROM promotions_approval a JOIN accounts_user u ON u.id = a.approver_id
              WHERE a.promotion_id = p.id AND a.decision = 'APPROVE')
    ) THEN
        RAISE EXCEPTION 'a rollout needs the approval of its promotion' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER policy_revision_no_change BEFORE UPDATE OR DELETE ON promotions_policyrevision
    FOR EACH ROW EXECUTE FUNCTION refused('a revision of a policy never changes');
CREATE FUNCTION policy_revision_needs_its_change() RETURNS trigger LANGUAGE plpgsql
    SET search_path = public, pg_temp AS $$
BEGIN
    IF NEW.number > 1 AND NOT EXISTS (
        SELECT 1 FROM promotions_policychange c JOIN promotions_policyrevision b ON b.id = c.before_id
        WHERE c.id = NEW.change_id AND c.status = 'APPROVED' AND c.body = NEW.body
          AND c.environment = NEW.environment AND c.data_class = NEW.data_class
          AND b.environment = NEW.environment AND b.data_class = NEW.data_class AND b.number = NEW.number - 1
    ) THEN
        RAISE EXCEPTION 'a policy needs an approved change' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER policy_revision_of_a_change BEFORE INSERT ON promotions_policyrevision
    FOR EACH ROW EXECUTE FUNCTION policy_revision_needs_its_change();

CREATE TRIGGER policy_change_steps BEFORE UPDATE ON promotions_policychange
    FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
    EXECUTE FUNCTION only_these_steps('PENDING>APPROVED', 'PENDING>REJECTED', 'PENDING>WITHDRAWN');
CREATE TRIGGER policy_change_decided_once BEFORE UPDATE ON promotions_policychange
    FOR EACH ROW WHEN (OLD.status <> 'PENDING' AND OLD IS DISTINCT FROM NEW)
    EXECUTE FUNCTION refused('a decided change of a policy never changes');
CREATE TRIGGER policy_change_keeps_what_was_asked BEFORE UPDATE ON promotions_policychange
    FOR EACH ROW WHEN (
        ROW(OLD.environment, OLD.data_class, OLD.body, OLD.before_id, OLD.justification, OLD.requested_by_id,
            OLD.requested_at)
        IS DISTINCT FROM ROW(NEW.environment, NEW.data_class, NEW.body, NEW.before_id, NEW.justification,
            NEW.requested_by_id, NEW.requested_at))
    EXECUTE FUNCTION refused('what was proposed never changes');
CREATE TRIGGER policy_change_no_delete BEFORE DELETE ON promotions_policychange
    FOR EACH ROW EXECUTE FUNCTION refused('a change of a policy stays');
CREATE TRIGGER promotions_policychange_two_people BEFORE INSERT OR UPDATE ON promotions_policychange
    FOR EACH ROW WHEN (NEW.status <> 'WITHDRAWN')
    EXECUTE FUNCTION takes_two_people('requested_by_id', 'decided_by_id');
"""


class Migration(migrations.Migration):
    dependencies = [
        ("promotions", "0020_first_policies"),
        ("accounts", "0004_two_people"),
        ("audit", "0005_guards"),
    ]
    operations = [
        migrations.AlterField(
            "promotion",
            "policy_revision",
            models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="promotions",
                to="promotions.policyrevision",
            ),
        ),
        # there is no way back from several approvals
        migrations.RunSQL(FORWARD),
    ]
