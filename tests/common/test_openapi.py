"""How an operation describes itself; the whole document is held against the API's answers in
tests/portal/test_openapi.py.
"""

import pytest
from django.urls import path
from drf_spectacular.generators import SchemaGenerator
from rest_framework import serializers
from rest_framework.decorators import api_view
from rest_framework.views import APIView

from apps.accounts.oidc import BearerAuthentication
from apps.common.openapi import REFUSALS, choice, operation

ALWAYS = {"401", "403", "503"}
OF_BODIES = {"400", "411", "413", "415"}


class Wish(serializers.Serializer):
    words = serializers.CharField()


def addresses():
    """Return the addresses of three operations, described anew."""

    class Wishes(APIView):
        authentication_classes = (BearerAuthentication,)

        @operation("wishes_list", "Wishes", "List wishes", answers=Wish(many=True), refuses=(404,))
        def get(self, request):
            """What people wished for."""

        @operation("wishes_create", "Wishes", "Wish", takes=Wish, answers=Wish, status=(200, 201))
        def post(self, request):
            """Wish for something."""

    @operation(
        "wishes_decide", "Decisions", "Decide", answers=Wish, refuses=(409, 502), status=202,
        parameters=[choice("decision", ["approve", "reject"], "What to do with it.")],
    )  # fmt: skip
    @api_view(["POST"])
    def decide(request, decision):
        """Decide."""

    return [path("wishes", Wishes.as_view()), path("wishes/<str:decision>", decide)]


@pytest.fixture
def document():
    return SchemaGenerator(patterns=addresses()).get_schema(request=None, public=True)


@pytest.fixture
def operations(document):
    found = [each for at in document["paths"].values() for each in at.values()]
    return {each["operationId"]: each for each in found}


class TestOperation:
    def test_is_known_by_its_name_tag_and_summary(self, operations):
        said = {name: (each["tags"], each["summary"]) for name, each in operations.items()}
        assert said == {
            "wishes_list": (["Wishes"], "List wishes"),
            "wishes_create": (["Wishes"], "Wish"),
            "wishes_decide": (["Decisions"], "Decide"),
        }

    def test_answers_and_refuses_what_it_says_and_what_everything_may(self, operations):
        codes = {name: set(each["responses"]) for name, each in operations.items()}
        assert codes == {
            "wishes_list": {"200", "404"} | ALWAYS,
            "wishes_create": {"200", "201"} | ALWAYS | OF_BODIES,
            "wishes_decide": {"202", "409", "502"} | ALWAYS,
        }

    def test_answers_json_and_refuses_with_a_problem_and_why(self, operations):
        for each in operations.values():
            for code, answer in each["responses"].items():
                kind = "application/json" if code < "300" else "application/problem+json"
                assert list(answer["content"]) == [kind]
                if code >= "300":
                    assert answer["description"] == REFUSALS[int(code)]
                    shape = answer["content"][kind]["schema"]
                    assert shape == {"$ref": "#/components/schemas/ProblemOutput"}

    def test_takes_a_body_only_where_it_says_so(self, operations):
        assert [name for name, each in operations.items() if "requestBody" in each] == [
            "wishes_create"
        ]

    def test_names_the_words_that_an_address_takes(self, operations):
        (found,) = operations["wishes_decide"]["parameters"]
        assert (found["name"], found["in"], found["schema"]["enum"], found["description"]) == (
            "decision",
            "path",
            ["approve", "reject"],
            "What to do with it.",
        )


class TestProblem:
    def test_says_what_a_refusal_holds(self, document):
        problem = document["components"]["schemas"]["ProblemOutput"]
        always = {"type", "status", "code", "detail", "request_id"}
        assert set(problem["required"]) == always
        assert set(problem["properties"]) == always | {"errors"}


class TestBearerScheme:
    def test_is_a_token_that_every_operation_takes(self, document, operations):
        scheme = document["components"]["securitySchemes"]["bearer"]
        assert (scheme["type"], scheme["scheme"], scheme["bearerFormat"]) == (
            "http",
            "bearer",
            "JWT",
        )
        assert "identity provider" in scheme["description"]
        assert operations["wishes_list"]["security"] == [{"bearer": []}]
