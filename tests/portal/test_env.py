"""Settings from the environment: an odd value stops start-up with its name."""

from dataclasses import astuple
from decimal import Decimal

import pytest
from django.core.exceptions import ImproperlyConfigured

from portal.env import (
    env_choice,
    env_cost,
    env_decimal,
    env_groups,
    env_hosts,
    env_hours,
    env_image,
    env_issuer,
    env_listen,
    env_mail,
    env_names,
    env_networks,
    env_percents,
    env_role_rule,
    env_sender,
    env_store,
    env_zone,
)


class TestEnvGroups:
    USUAL = "leads=LEAD, finance=FINANCE"

    def test_reads_names_and_ids_several_for_one_role(self, monkeypatch):
        monkeypatch.delenv("GROUPS", raising=False)
        assert env_groups("GROUPS", self.USUAL) == {"leads": "LEAD", "finance": "FINANCE"}
        monkeypatch.setenv("GROUPS", "5f1c-22=LEAD,Team=Leads EMEA = LEAD, ")
        assert env_groups("GROUPS", self.USUAL) == {"5f1c-22": "LEAD", "Team=Leads EMEA": "LEAD"}

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("leads", "must be GROUP=ROLE with commas, each group once, not 'leads'"),
            ("=LEAD", "must be GROUP=ROLE"),
            (
                "a=LEAD, a=FINANCE",
                "must be GROUP=ROLE with commas, each group once, not 'a=FINANCE'",
            ),
            ("a=LEADER", "there is no role 'LEADER'. Roles are FINANCE, LEAD."),
            ("a=", "there is no role ''"),
        ],
    )
    def test_anything_else_stops_start_up(self, monkeypatch, text, words):
        monkeypatch.setenv("GROUPS", text)
        with pytest.raises(ImproperlyConfigured, match=f"GROUPS:? ?{words}"):
            env_groups("GROUPS", self.USUAL)


class TestEnvSender:
    @pytest.mark.parametrize(
        ("text", "sender"),
        [
            ("", ("Q", "q@portal.example")),
            ("GPU Platform <gpu@corp.example>", ("GPU Platform", "gpu@corp.example")),
            ("gpu@corp.example", ("", "gpu@corp.example")),
            ("Zoë, Ops <gpu@corp.example>", ("Zoë, Ops", "gpu@corp.example")),
        ],
    )
    def test_reads_a_name_and_an_address(self, monkeypatch, text, sender):
        monkeypatch.setenv("SENDER", text)
        assert env_sender("SENDER", "Q <q@portal.example>") == sender

    @pytest.mark.parametrize(
        "text", ["Ops", "Ops <ops>", "<a@b>", "a@b c@d", "A <a@b>, B <b@b>", "A\nB <a@b>", "A <a@b"]
    )
    def test_anything_else_stops_start_up(self, monkeypatch, text):
        monkeypatch.setenv("SENDER", text)
        with pytest.raises(ImproperlyConfigured, match="SENDER must be a name and an address"):
            env_sender("SENDER", "Q <q@portal.example>")


class TestEnvHosts:
    def test_reads_names_or_none(self, monkeypatch):
        monkeypatch.delenv("HOSTS", raising=False)
        assert env_hosts("HOSTS") == frozenset()
        monkeypatch.setenv("HOSTS", "portal.example, .internal,10.0.0.1")
        assert env_hosts("HOSTS") == {"portal.example", ".internal", "10.0.0.1"}

    @pytest.mark.parametrize("text", ["*", "a.example,*", "https://a.example", "a:8000", "a b"])
    def test_anything_else_stops_start_up(self, monkeypatch, text):
        monkeypatch.setenv("HOSTS", text)
        with pytest.raises(ImproperlyConfigured, match="HOSTS must be names of hosts with commas"):
            env_hosts("HOSTS")


class TestEnvHours:
    @pytest.mark.parametrize("text", ["", "mon-fri 07:30-19:00 America/New_York"])
    def test_reads_hours_or_none(self, monkeypatch, text):
        monkeypatch.setenv("HOURS", text)
        assert env_hours("HOURS") == text

    def test_anything_else_stops_start_up(self, monkeypatch):
        monkeypatch.setenv("HOURS", "America/New_York; 30 7 * * 1-5; 0 19 * * 1-5")
        with pytest.raises(
            ImproperlyConfigured,
            match="HOURS: .* names no hours: write them as mon-fri 07:30-19:00",
        ):
            env_hours("HOURS")


class TestEnvCost:
    def test_reads_an_expression_that_the_gateway_can_use(self, monkeypatch):
        monkeypatch.delenv("LIMIT_COST", raising=False)
        assert env_cost("LIMIT_COST", "total_tokens") == "total_tokens"
        monkeypatch.setenv("LIMIT_COST", "output_tokens * 3u")
        assert env_cost("LIMIT_COST", "total_tokens") == "output_tokens * 3u"

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("output_tokens * 3", "LIMIT_COST: .*does not type-check.*write 3u"),
            ("output_tokens - 1u", "LIMIT_COST: .*cannot be computed"),
        ],
    )
    def test_anything_else_stops_start_up(self, monkeypatch, text, words):
        monkeypatch.setenv("LIMIT_COST", text)
        with pytest.raises(ImproperlyConfigured, match=words):
            env_cost("LIMIT_COST", "total_tokens")


class TestEnvStore:
    @pytest.mark.parametrize("text", ["", "clickhouse://q:secret@click:8443/usage?secure=true"])
    def test_reads_an_address_or_none(self, monkeypatch, text):
        monkeypatch.setenv("USAGE_STORE_URL", text)
        assert env_store("USAGE_STORE_URL") == text

    def test_reads_it_from_a_file(self, monkeypatch, tmp_path):
        (tmp_path / "url").write_text("clickhouse://click/usage\n")
        monkeypatch.setenv("USAGE_STORE_URL_FILE", str(tmp_path / "url"))
        assert env_store("USAGE_STORE_URL") == "clickhouse://click/usage"

    @pytest.mark.parametrize("text", ["click:8443", "https://click:8443/", "clickhouse:///usage"])
    def test_anything_else_stops_start_up_without_telling_it(self, monkeypatch, text):
        monkeypatch.setenv("USAGE_STORE_URL", text)
        with pytest.raises(ImproperlyConfigured, match="USAGE_STORE_URL must be") as stopped:
            env_store("USAGE_STORE_URL")
        assert text not in str(stopped.value)


class TestEnvIssuer:
    def test_is_another_one_than_peoples(self, monkeypatch):
        monkeypatch.setenv("X", "https://idp.example.com/")
        assert env_issuer("X", "", apart_from="https://other.example.com")
        with pytest.raises(ImproperlyConfigured, match="X must not be the issuer of people"):
            env_issuer("X", "", apart_from="https://idp.example.com")


class TestEnvImage:
    PINNED = "registry.example.com:5000/vllm/vllm-openai@sha256:" + "a" * 64

    @pytest.mark.parametrize(
        "value",
        ["vllm:1", "vllm@sha256:" + "a" * 63, "vllm@sha512:" + "a" * 64, "@sha256:" + "a" * 64],
    )
    def test_takes_a_tag_only_where_nobody_is_served(self, monkeypatch, value):
        monkeypatch.setenv("X", value)
        assert env_image("X", "", pinned=False) == value
        with pytest.raises(ImproperlyConfigured, match="X must name the image by its digest"):
            env_image("X", "", pinned=True)

    def test_takes_a_digest_everywhere(self, monkeypatch):
        monkeypatch.setenv("X", self.PINNED)
        assert env_image("X", "", pinned=True) == self.PINNED

    def test_takes_no_tag_for_want_of_another(self, monkeypatch):
        monkeypatch.delenv("X", raising=False)
        assert env_image("X", "vllm:1", pinned=False) == "vllm:1"
        with pytest.raises(ImproperlyConfigured, match="digest"):
            env_image("X", "vllm:1", pinned=True)


class TestEnvPercents:
    @pytest.mark.parametrize(
        ("text", "found"), [("", (10, 50, 100)), ("100", (100,)), (" 5, 25,100 ", (5, 25, 100))]
    )
    def test_reads_percents_that_rise_to_100(self, monkeypatch, text, found):
        monkeypatch.setenv("ROLLOUT_STEPS", text)
        assert env_percents("ROLLOUT_STEPS", "10,50,100") == found

    @pytest.mark.parametrize(
        "text",
        ["10,50", "50,10,100", "0,100", "10,10,100", "10,,100", "ten,100", "10,100,110", "-5,100"],
    )
    def test_stops_start_up_with_the_name(self, monkeypatch, text):
        monkeypatch.setenv("ROLLOUT_STEPS", text)
        with pytest.raises(
            ImproperlyConfigured, match="ROLLOUT_STEPS must be percents that rise to 100"
        ):
            env_percents("ROLLOUT_STEPS", "10,50,100")


class TestEnvDecimal:
    def test_reads_a_number(self, monkeypatch):
        assert env_decimal("SHARE", "0.5") == Decimal("0.5")
        monkeypatch.setenv("SHARE", "2")
        assert env_decimal("SHARE", "0.5") == 2

    @pytest.mark.parametrize("text", ["-1", "half", "NaN", "Infinity"])
    def test_stops_start_up_with_the_name(self, monkeypatch, text):
        monkeypatch.setenv("SHARE", text)
        with pytest.raises(ImproperlyConfigured, match="SHARE must be a number"):
            env_decimal("SHARE", "0.5")


class TestEnvChoice:
    def test_reads_one_of_the_words(self, monkeypatch):
        assert env_choice("WHEN", "never", ("always", "never")) == "never"
        monkeypatch.setenv("WHEN", "always")
        assert env_choice("WHEN", "never", ("always", "never")) == "always"

    def test_stops_start_up_with_the_name(self, monkeypatch):
        monkeypatch.setenv("WHEN", "sometimes")
        with pytest.raises(ImproperlyConfigured, match="WHEN must be one of always, never"):
            env_choice("WHEN", "never", ("always", "never"))


def test_env_names_reads_words_between_commas(monkeypatch):
    assert env_names("WHO") == frozenset()
    monkeypatch.setenv("WHO", " 111, 222 ,,")
    assert env_names("WHO") == {"111", "222"}


class TestEnvMail:
    @pytest.mark.parametrize(
        ("text", "found"), [
            ("", ("", 25, "", "", False, False)),
            ("smtp://127.0.0.1:8025", ("127.0.0.1", 8025, "", "", False, False)),
            ("smtp://me:p%40ss@mail.test:587?tls=start",
             ("mail.test", 587, "me", "p@ss", False, True)),
            ("smtps://mail.test", ("mail.test", 465, "", "", True, False)),
        ]
    )  # fmt: skip
    def test_reads_a_server_or_none(self, monkeypatch, text, found):
        monkeypatch.setenv("MAIL_URL", text)
        assert astuple(env_mail("MAIL_URL")) == found

    @pytest.mark.parametrize(
        "text", ["mail.test", "http://mail.test", "smtp://", "smtp://x:y@z:no", "smtp://z?tls=on"]
    )
    def test_anything_else_stops_start_up_without_telling_it(self, monkeypatch, text):
        monkeypatch.setenv("MAIL_URL", text)
        with pytest.raises(ImproperlyConfigured, match="MAIL_URL must be") as refused:
            env_mail("MAIL_URL")
        assert "x:y" not in str(refused.value)


@pytest.mark.parametrize("value", ["0.0.0.0:9003", "[::1]:1", "gate:65535"])
def test_env_listen_returns_an_address(monkeypatch, value):
    monkeypatch.setenv("LISTEN", value)
    assert env_listen("LISTEN") == value


@pytest.mark.parametrize("value", ["9003", ":9003", "gate:", "gate:0", "gate:65536", "gate:x"])
def test_env_listen_refuses_what_is_none(monkeypatch, value):
    monkeypatch.setenv("LISTEN", value)
    with pytest.raises(ImproperlyConfigured, match="LISTEN"):
        env_listen("LISTEN")


def test_env_networks_reads_networks(monkeypatch):
    assert env_networks("INSIDE") == ()
    monkeypatch.setenv("INSIDE", "fd00::/8, 10.20.0.0/16")
    assert [str(one) for one in env_networks("INSIDE")] == ["10.20.0.0/16", "fd00::/8"]
    for wrong in ("10.20.0.1/16", "inside"):
        monkeypatch.setenv("INSIDE", wrong)
        with pytest.raises(ImproperlyConfigured, match="INSIDE must be networks"):
            env_networks("INSIDE")


def test_env_zone_reads_a_time_zone(monkeypatch):
    assert env_zone("ZONE", "UTC").key == "UTC"
    monkeypatch.setenv("ZONE", "Mars/Base")
    with pytest.raises(ImproperlyConfigured, match="ZONE must be a time zone"):
        env_zone("ZONE", "UTC")


class TestEnvRoleRule:
    @pytest.mark.parametrize(
        "rule",
        [
            "",
            "arn:aws:iam::111122223333:role/quartermaster-reads-{model}",
            "arn:aws-us-gov:iam::111122223333:role/platform/readers/twenty-eight-letters-and-no-{model}",
        ],
    )
    def test_reads_a_rule_or_none(self, monkeypatch, rule):
        monkeypatch.setenv("READER", rule)
        assert env_role_rule("READER") == rule

    @pytest.mark.parametrize(
        "rule",
        [
            "arn:aws:iam::111122223333:role/reads-all-models",
            "arn:aws:iam::111122223333:role/{model}-reads",
            "arn:aws:iam::111122223333:role/a-name-that-leaves-less-than-36-{model}",
            "arn:aws:iam::1:role/reads-{model}",
            "reads-{model}",
        ],
    )
    def test_anything_else_stops_start_up(self, monkeypatch, rule):
        monkeypatch.setenv("READER", rule)
        with pytest.raises(ImproperlyConfigured, match="READER must be the address of a role with"):
            env_role_rule("READER")
