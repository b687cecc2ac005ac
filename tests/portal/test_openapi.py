"""The API's document: whole, true of what the API answers, and shown on a page of its own."""

import copy
import json
from collections import Counter
from urllib.parse import urlsplit

import pytest
from django.contrib.staticfiles import finders
from django.core.management import call_command
from django.db import transaction
from django.test import Client
from django.urls import reverse
from jsonschema import Draft202012Validator, FormatChecker

from portal.api import document
from tests.chromium import running_browser
from tests.portal import cast
from tests.portal.test_matrix import DOORS, JSON, filled

SCHEMA = "/api/v1/schema"
PROBLEM = "application/problem+json"
NO_OPERATION = ("api:schema",)
BEFORE_A_TOKEN = ("/api/v1/pipelines/token",)  # where a run of a pipeline gets one
OPERATIONS = [
    door for door in DOORS if door.name.startswith("api:") and door.name not in NO_OPERATION
]


def operations():
    """Return (path, method, operation) of everything the document tells."""
    return [
        (path, method, told)
        for path, methods in document()["paths"].items()
        for method, told in methods.items()
    ]


class TestDocument:
    def test_is_made_without_a_warning_and_valid(self, tmp_path):
        made = tmp_path / "openapi.json"
        call_command(
            "spectacular", "--validate", "--fail-on-warn", format="openapi-json", file=str(made)
        )
        assert json.loads(made.read_text())["info"]["title"] == "Quartermaster"

    def test_names_every_operation_once_and_says_what_it_is(self):
        names = Counter(told["operationId"] for _, _, told in operations())
        assert [name for name, count in names.items() if count > 1] == []
        for path, method, told in operations():
            assert told["summary"], (path, method)
            assert told["description"], (path, method)
            assert len(told["tags"]) == 1

    def test_every_operation_takes_a_token_and_refuses_with_problem_documents(self):
        for path, method, told in operations():
            takes_token = {"bearer": []} in told.get("security", [])
            assert takes_token == (path not in BEFORE_A_TOKEN), (path, method)
            refusals = {code: body for code, body in told["responses"].items() if code >= "400"}
            assert {"401", "503"} <= set(refusals)
            assert {kind for body in refusals.values() for kind in body["content"]} == {PROBLEM}
            assert ("requestBody" in told) <= ("400" in refusals)

    def test_only_what_the_upload_page_calls_takes_a_session_too(self):
        with_session = {
            path for path, _, told in operations() if {"cookieAuth": []} in told.get("security", [])
        }
        assert {path.split("{name}")[1].split("/")[1] for path in with_session} == {"versions"}

    def test_lists_tell_their_filters(self):
        told = document()["paths"]["/api/v1/promotions"]["get"]
        names = {parameter["name"] for parameter in told["parameters"]}
        assert {"cursor", "model", "version", "status", "team", "requested_since"} <= names
        [status] = [found for found in told["parameters"] if found["name"] == "status"]
        assert "PENDING" in status["schema"]["enum"]


@pytest.mark.django_db
class TestWhoMayRead:
    def test_a_token_or_a_session_opens_and_nothing_else(self, world):
        assert Client().get(SCHEMA).status_code == 401
        by_token = Client().get(SCHEMA, headers={"Authorization": "Bearer auditor"})
        by_session = world.client("developer").get(SCHEMA)
        assert by_token.json() == by_session.json() == document()
        roleless = world.client("roleless").get(SCHEMA)
        assert (roleless.status_code, roleless["Content-Type"]) == (403, PROBLEM)


def strict(schema):
    """Return the document's schemas so that a field they do not name is wrong."""
    made = copy.deepcopy(schema)
    for part in made["components"]["schemas"].values():
        if "properties" in part:
            part["additionalProperties"] = False
    return made


def told_of(url, method):
    """Return the operation that the document tells for an address: of several paths that fit the
    one with the most words of its own, as OpenAPI matches them.
    """
    parts, found = url.strip("/").split("/"), []
    for path, its, told in operations():
        named = path.strip("/").split("/")
        fits = len(named) == len(parts) and all(
            name.startswith("{") or name == part for name, part in zip(named, parts, strict=True)
        )
        if fits and its == method.lower():
            found.append((path.count("{"), path, told))
    assert found, f"{method} {url} is not in the document"
    return min(found, key=lambda one: one[:2])[2]


def check(answer, told, whole):
    """Check one answer against what the document tells of its status."""
    content = told["responses"][str(answer.status_code)]["content"]
    [(kind, body)] = content.items()
    assert answer["Content-Type"] == kind
    schema = {**body["schema"], "components": whole["components"]}
    Draft202012Validator(schema, format_checker=FormatChecker()).validate(answer.json())


@pytest.mark.django_db
@pytest.mark.parametrize("door", OPERATIONS, ids=str)
def test_what_the_api_answers_is_what_the_document_tells(door, world):
    """Once with each status that the matrix of doors knows."""
    whole = strict(document())
    url = reverse(door.name, args=[filled(arg, world.ids) for arg in door.args])
    if door.args and door.args[-1] == "withdraw" and door.name == "api:access_request_decide":
        pytest.skip("No such order: the document does not name it.")
    told = told_of(url, door.method)
    personas = {status: who for who, status in zip(cast.EVERYBODY, door.expected, strict=True)}
    for persona in personas.values():
        headers = {"Authorization": f"Bearer {persona}"} if persona != cast.ANONYMOUS else {}
        data = {name: filled(value, world.ids) for name, value in door.data.items()}
        content = {"content_type": "application/json"} if door.sent == JSON else {}
        with transaction.atomic():
            send = getattr(Client(), door.method.lower())
            check(send(url, data, headers=headers, **content), told, whole)
            transaction.set_rollback(True)


@pytest.mark.django_db
def test_a_browser_shows_the_page_under_the_strict_policy(client, charlie):
    client.force_login(charlie)
    page, found = client.get(reverse("api_reference")), client.get(SCHEMA)
    policy = page["Content-Security-Policy"]
    assert "unsafe" not in policy
    # From here on nothing may ask the database: Playwright runs a loop in this thread.
    with running_browser() as browser:
        for theme in ("light", "dark"):
            tab = browser.new_page(viewport={"width": 1440, "height": 900}, color_scheme=theme)
            tab.route("**/*", lambda route: answer(route, page, found))
            look_at(tab)
            tab.close()


def answer(route, page, found) -> None:
    """Answer the browser with the page, the document and static files; the shell stays empty."""
    path = urlsplit(route.request.url).path
    if path == reverse("api_reference"):
        route.fulfill(headers=dict(page.items()), body=page.content)
    elif path == SCHEMA:
        route.fulfill(headers=dict(found.items()), body=found.content)
    elif path.startswith("/static/"):
        route.fulfill(path=finders.find(path.removeprefix("/static/")))
    else:
        route.fulfill(status=204)


def seen_while_scrolling(tab) -> set[str]:
    """Return the ids of the operations that are drawn from the page's top to its end, and go back
    to the top: of a long document Swagger UI draws but what is looked at.
    """
    found: set[str] = set()
    ids = "[...document.querySelectorAll('.opblock')].map(each => each.id)"
    at_end = "scrollY + innerHeight >= document.scrollingElement.scrollHeight - 2"
    for _ in range(200):
        found |= set(tab.evaluate(ids))
        if tab.evaluate(at_end):
            break
        tab.evaluate("scrollBy(0, 400)")
        tab.wait_for_timeout(60)
    tab.evaluate("scrollTo(0, 0)")
    tab.locator("#operations-Access-grants_list").wait_for()
    return found


def look_at(tab) -> None:
    """Open the page, an operation and its form; nothing may be said in the console."""
    said: list[str] = []
    tab.on("console", lambda message: said.append(message.text))
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.goto(f"http://127.0.0.1:9{reverse('api_reference')}", wait_until="networkidle")
    tab.locator("#operations-Access-grants_list").wait_for()
    assert len(seen_while_scrolling(tab)) == len(operations())
    tab.locator("#operations-Access-grants_list button").first.click()
    tab.get_by_text("Try it out").click()
    tab.get_by_role("button", name="Execute").wait_for()
    assert tab.evaluate("document.documentElement.scrollWidth - innerWidth") <= 0
    assert said == []
