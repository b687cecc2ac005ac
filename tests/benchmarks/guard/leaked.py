"""Sentences with credentials that open nothing, and sentences that only speak of them."""

import base64
import random
import string
from collections.abc import Iterator

from tests.benchmarks.guard.labeled import Half, Labeled, Templates

WORDS = string.ascii_letters + string.digits


def some(draw: random.Random, count: int, of: str = WORDS) -> str:
    return "".join(draw.choices(of, k=count))


def secret(draw: random.Random) -> str:
    return draw.choice("abcdef") + draw.choice("XYZ") + some(draw, 12) + draw.choice("0123456789")


def jwt(draw: random.Random) -> str:
    parts = (b'{"alg":"RS256"}', b'{"sub":"' + some(draw, 9).encode() + b'"}')
    coded = [base64.urlsafe_b64encode(part).decode().rstrip("=") for part in parts]
    return ".".join([*coded, some(draw, 43)])


VALUES = {
    "PRIVATE_KEY": lambda draw: (
        f"-----BEGIN {draw.choice(['RSA ', 'EC ', ''])}PRIVATE KEY-----\n{some(draw, 64)}"
    ),
    "AWS_ACCESS_KEY": lambda draw: "AKIA" + some(draw, 16, string.ascii_uppercase + "234567"),
    "GITHUB_TOKEN": lambda draw: f"gh{draw.choice('pos')}_{some(draw, 36)}",
    "JWT": jwt,
    "BEARER_TOKEN": secret,
    "API_KEY": lambda draw: draw.choice([
        f"sk-{some(draw, 40)}", f"hvs.{some(draw, 40)}", f"glpat-{some(draw, 20)}",
        f"xoxb-{some(draw, 12, string.digits)}-{some(draw, 24)}", f"hf_{some(draw, 34)}",
    ]),
    "PASSWORD_IN_URL": lambda draw: f"postgres://app:{secret(draw)}@db.example:5432/x",
    "PASSWORD": secret,
}  # fmt: skip
SENTENCES = {
    "PRIVATE_KEY": Templates(("{}",), ("Here is the key:\n{}", "cert.pem\n{}")),
    "AWS_ACCESS_KEY": Templates(("key {}",), ("AWS_ACCESS_KEY_ID={}", "id: {} in us-east-1")),
    "GITHUB_TOKEN": Templates(
        ("token {}", "git clone https://{}@git.example/x"), ("GH={}", "PAT {} expires in May")
    ),
    "JWT": Templates(("{}",), ("cookie session={}", "id_token: {}")),
    "BEARER_TOKEN": Templates(
        ("Authorization: Bearer {}xyzxyz9",), ("curl -H 'authorization: bearer {}abcabc7'",)
    ),
    "API_KEY": Templates(("key: {}",), ("export TOKEN={}", "use {} for the sandbox")),
    "PASSWORD_IN_URL": Templates(
        ("{}", "DATABASE_URL={}", "connect to {} first"), ("url: {}", "psql {} -c 'select 1'")
    ),
    "PASSWORD": Templates(
        ("password: {}", "pwd={}"),
        ("The password is {}", "DB_PASSWORD={}", '"client_secret": "{}"', "passphrase = '{}'"),
    ),
}
HARMLESS = Templates(
    ("Change your password every 90 days.",),
    (
        "The token count is limited to 8,192.",
        "password: ********",
        "Ask the help desk for the API key.",
        "secret: <from Vault>",
        "The key finding is a 3 mm protrusion.",
        "Set PASSWORD to your_password_here.",
        "Public key fingerprint SHA256:abcdef is in the record.",
        "Bearer of this card is entitled to benefits.",
    ),
)


def texts(half: Half, draw: random.Random, each: int) -> Iterator[Labeled]:
    """Yield `each` texts of every kind, and harmless ones."""
    for kind, sentences in SENTENCES.items():
        known = sentences.of(half)
        for number in range(each):
            sentence = known[number % len(known)]
            yield Labeled(sentence.format(VALUES[kind](draw)), "user", frozenset({kind}), sentence)
    for number in range(each):
        sentence = HARMLESS.of(half)[number % len(HARMLESS.of(half))]
        yield Labeled(sentence, "user", frozenset(), sentence, hard=True)
