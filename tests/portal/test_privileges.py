"""The portal's role at the database: it may do what the code does, and history is out of its
reach.
"""

from io import StringIO

import pytest
from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import DatabaseError, ProgrammingError, connection, transaction

from portal import database as portal_database
from portal.privileges import FUNCTIONS, PRIVILEGES, columns
from tests import database

two_roles = pytest.mark.skipif(
    not database.has_two_roles(), reason="DATABASE_URL alone: one role is owner and portal"
)
MAY_NOT = {
    "switching triggers off for its session": "SET session_replication_role = 'replica'",
    "switching triggers off in one transaction": "SET LOCAL session_replication_role = 'replica'",
    "switching a table's triggers off": "ALTER TABLE audit_auditevent DISABLE TRIGGER USER",
    "dropping a trigger": "DROP TRIGGER audit_event_no_change ON audit_auditevent",
    "replacing a trigger's function": "CREATE OR REPLACE FUNCTION audit_event_is_immutable() RETURNS"
    " trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'",
    "dropping a constraint": "ALTER TABLE promotions_approval DROP CONSTRAINT approval_not_by_requester",
    "dropping a table": "DROP TABLE audit_auditevent",
    "emptying a table": "TRUNCATE audit_auditevent",
    "emptying the usage": "TRUNCATE metering_usageevent",
    "changing an event of the record": "UPDATE audit_auditevent SET actor = 'mallory'",
    "deleting an event of the record": "DELETE FROM audit_auditevent",
    "changing usage": "UPDATE metering_usageevent SET output_tokens = 0",
    "deleting usage": "DELETE FROM metering_usageevent",
    "changing a sum of usage": "UPDATE metering_hourlyusage SET output_tokens = 0",
    "changing an approval": "UPDATE promotions_approval SET reason = ''",
    "deleting an approval": "DELETE FROM promotions_approval",
    "another commit of a step": "UPDATE promotions_rolloutcommit SET sha = ''",
    "deleting a commit": "DELETE FROM promotions_rolloutcommit",
    "another decision of a gate": "UPDATE promotions_gateresult SET verdict = 'PASSED'",
    "another requester": "UPDATE access_accessrequest SET requested_by_id = 1",
    "more tokens than were approved": "UPDATE access_grant SET tokens_per_minute = 1000000",
    "a longer grant": "UPDATE access_grant SET active_to = '2040-01-01'",
    "deleting a grant": "DELETE FROM access_grant",
    "another version of a promotion": "UPDATE promotions_promotion SET model_version_id = 1",
    "another baseline of a rollout": "UPDATE promotions_rollout SET baseline_id = NULL",
    "another price": "UPDATE chargeback_rate SET unit_price_usd = 0",
    "other prices than were proposed": "UPDATE chargeback_pricechange SET prices = '{}'",
    "deleting a proposal of prices": "DELETE FROM chargeback_pricechange",
    "deleting a price": "DELETE FROM chargeback_rate",
    "another revision of a pool": "UPDATE capacity_nodepoolrevision SET text = ''",
    "another file than was asked for": "UPDATE capacity_capacityrequest SET text = ''",
    "another digest of a file": "UPDATE catalog_modelfile SET sha256 = ''",
    "another number of a version": "UPDATE catalog_modelversion SET number = 9",
    "a run of another version": "UPDATE evals_evalrun SET model_version_id = 1",
    "another answer to a packet": "UPDATE evals_evalpacketresult SET answer = ''",
    "making a table": "CREATE TABLE access_more (id int)",
    "saying that a migration ran": "INSERT INTO django_migrations (app, name, applied) VALUES ('audit', '9', now())",
    "making a role": "CREATE ROLE mallory SUPERUSER",
    "being the owner": f"SET ROLE {settings.MIGRATIONS_DATABASE.get('USER') or 'nobody'}",
}


class TestPrivileges:
    def test_every_model_has_its_entry(self):
        models = {model._meta.label for model in apps.get_models(include_auto_created=True)}
        assert models == set(PRIVILEGES)

    @pytest.mark.parametrize("label", PRIVILEGES)
    def test_an_entry_names_columns_that_exist(self, label):
        model = apps.get_model(label)
        changed = columns(model, PRIVILEGES[label].update)
        assert set(changed) <= {field.column for field in model._meta.concrete_fields}
        assert model._meta.pk.column not in changed


@two_roles
@pytest.mark.django_db
class TestThePortalsRole:
    def test_is_who_the_tests_run_as(self):
        assert ask("SELECT current_user, session_user") == [(settings.DATABASE_ROLE,) * 2]

    def test_is_no_superuser_and_owns_nothing(self):
        assert portal_database.role_problems(settings.DATABASE_ROLE) == []
        owned = "SELECT count(*) FROM pg_class WHERE pg_get_userbyid(relowner) = current_user"
        assert ask(owned) == [(0,)]

    @pytest.mark.parametrize("what", MAY_NOT)
    def test_is_refused(self, what):
        with pytest.raises(ProgrammingError, match="permission denied|must be owner"):
            run(MAY_NOT[what])

    def test_has_exactly_what_is_written_down(self):
        found = {}
        for right in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"):
            rows = ask(
                "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND"
                " relkind IN ('r', 'p', 'v') AND has_table_privilege(oid, %s)", right
            )  # fmt: skip
            found[right] = {name for (name,) in rows}
        tables = {label: apps.get_model(label)._meta.db_table for label in PRIVILEGES}
        for right, field in (("SELECT", "read"), ("INSERT", "insert"), ("DELETE", "delete")):
            meant = {tables[label] for label, may in PRIVILEGES.items() if getattr(may, field)}
            assert found[right] - {"django_migrations"} == meant, right
        assert not any(found[right] for right in ("UPDATE", "TRUNCATE", "REFERENCES", "TRIGGER"))

    def test_changes_only_the_columns_that_are_written_down(self):
        rows = ask(
            "SELECT c.relname, a.attname FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid"
            " WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p', 'v') AND attnum > 0"
            " AND NOT attisdropped AND has_column_privilege(c.oid, attnum, 'UPDATE')"
        )
        meant = set()
        for label, may in PRIVILEGES.items():
            model = apps.get_model(label)
            meant |= {(model._meta.db_table, name) for name in columns(model, may.update)}
        assert set(rows) == meant

    def test_calls_only_the_owners_functions_that_are_written_down(self):
        rows = ask(
            "SELECT oid::regprocedure::text, has_function_privilege(oid, 'EXECUTE') FROM pg_proc"
            " WHERE pronamespace = 'public'::regnamespace AND prosecdef"
            " AND proname <> 'tests_act_as_owner'"
        )
        called = {name.partition("(")[0] for name, _ in rows}
        assert called == {name.partition("(")[0] for name in FUNCTIONS}
        assert all(may for _, may in rows)
        with pytest.raises(ProgrammingError, match="permission denied"):
            run("SELECT attach_usage_day('2026-01-01')")

    def test_cannot_give_itself_a_right(self):
        run(f"GRANT DELETE ON audit_auditevent TO {settings.DATABASE_ROLE}")  # a warning says why
        assert ask("SELECT has_table_privilege('audit_auditevent', 'DELETE')") == [(False,)]

    def test_locks_a_model_without_being_able_to_rename_it(self, registered_model):
        run("SELECT 1 FROM catalog_registeredmodel FOR UPDATE")
        with pytest.raises(DatabaseError, match="never changes"):
            run("UPDATE catalog_registeredmodel SET name = 'other'")


@two_roles
class TestGrantPrivileges:
    def test_takes_back_what_was_granted_besides(self, committed):
        role = settings.DATABASE_ROLE
        try:
            database.connect_as_owner()
            run(f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}")
            database.connect_as_portal()
            assert ask("SELECT has_table_privilege('audit_auditevent', 'DELETE')") == [(True,)]
        finally:
            said = StringIO()
            call_command("grant_privileges", stdout=said)
        assert ask("SELECT has_table_privilege('audit_auditevent', 'DELETE')") == [(False,)]
        assert ask("SELECT has_any_column_privilege('audit_auditevent', 'UPDATE')") == [(False,)]
        assert said.getvalue() == f"{role} has the privileges that the portal needs.\n"

    def test_says_where_one_role_is_both(self, committed, settings):
        settings.DATABASE_ROLE = settings.MIGRATIONS_DATABASE["USER"]
        said = StringIO()
        call_command("grant_privileges", stderr=said)
        assert "the portal can switch off the triggers" in said.getvalue()
        assert ask("SELECT has_table_privilege('audit_auditevent', 'DELETE')") == [(False,)]

    def test_needs_a_name(self, settings):
        settings.DATABASE_ROLE = ""
        with pytest.raises(CommandError, match="names no user"):
            call_command("grant_privileges")


@two_roles
@pytest.mark.django_db
class TestCheckRole:
    def test_has_nothing_against_the_portals_role(self):
        assert portal_database.check_role(databases=["default"]) == []

    def test_warns_of_a_role_that_owns_the_tables(self, settings):
        settings.DATABASE_ROLE = settings.MIGRATIONS_DATABASE["USER"]
        (warning,) = portal_database.check_role(databases=["default"])
        assert warning.id == "portal.W001"
        assert "owns tables" in warning.msg

    def test_asks_no_database_where_none_is_checked(self, settings):
        settings.DATABASE_ROLE = settings.MIGRATIONS_DATABASE["USER"]
        assert portal_database.check_role(databases=None) == []


class TestAsOwner:
    def test_refuses_an_owner_of_another_database(self, settings):
        settings.MIGRATIONS_DATABASE = {"NAME": "other", "USER": "", "PASSWORD": ""}
        refused = pytest.raises(ImproperlyConfigured, match="names the database other")
        with refused, portal_database.as_owner():
            pytest.fail("it connected")


def run(sql, *values):
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(sql, values or None)


def ask(sql, *values):
    with connection.cursor() as cursor:
        cursor.execute(sql, values or None)
        return cursor.fetchall()
