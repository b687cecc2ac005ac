"""Which ServiceNow a stack has, and what the portal gets to use it."""

from pathlib import Path

import pytest

from deploy.local.stack import commands, product, servicenow
from deploy.local.stack.part import Context


def stack(tmp_path, **env):
    ports = {"portal": 20000, "servicenow": 20001}
    return Context(
        Path(), tmp_path, tmp_path, "python", lambda name, preferred: ports.get(name, preferred),
        env,
    )  # fmt: skip


def test_has_the_double_unless_something_else_is_named(tmp_path):
    context = stack(tmp_path)
    (part,) = servicenow.parts(context, "http://127.0.0.1:20000")
    assert part.address == "http://127.0.0.1:20001"
    env = product.environment(context)
    assert env["SERVICENOW_URL"] == part.address
    secret = Path(env["SERVICENOW_CLIENT_SECRET_FILE"])
    assert secret.read_text() == Path(part.env["SERVICENOW_CLIENT_SECRET_FILE"]).read_text()


@pytest.mark.parametrize(
    ("env", "url"),
    [
        ({"SERVICENOW": "none"}, None),
        ({"SERVICENOW_URL": "https://acme.service-now.com"}, "https://acme.service-now.com"),
    ],
)
def test_leaves_it_to_whoever_has_one_or_wants_none(tmp_path, env, url):
    context = stack(tmp_path, **env)
    assert servicenow.parts(context, "") == []
    assert product.environment(context).get("SERVICENOW_URL") == url
    assert "SERVICENOW_CLIENT_SECRET_FILE" not in product.environment(context)


def test_its_address_is_printed(tmp_path):
    status = {
        "portal": "http://127.0.0.1:20000", "replaced": [], "parts": [],
        "change_manager": "http://127.0.0.1:20001",
    }  # fmt: skip
    assert "Change manager: http://127.0.0.1:20001" in commands.summary(status)
    assert "Change manager" not in commands.summary(status | {"change_manager": ""})
