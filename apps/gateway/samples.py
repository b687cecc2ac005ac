"""Calls a person can copy, with the real addresses. Pure."""

import shlex
from collections.abc import Mapping


def token_text(issuer: str, client_id: str, asked: Mapping[str, str]) -> str:
    """Return the device sign-in for a terminal, at the endpoints that the issuer publishes.
    client_id: of a public client, so no secret is in it. asked: the fields that say what for.
    """
    fields = " ".join(f"-d {name}={shlex.quote(value)}" for name, value in sorted(asked.items()))
    return f"""endpoint() {{
  curl -s {issuer}/.well-known/openid-configuration \\
    | python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}}
# Prints an address and a code; open it, sign in, then take the token.
curl -s "$(endpoint device_authorization_endpoint)" -d client_id={client_id} \\
  {fields} | tee device.json
TOKEN=$(curl -s "$(endpoint token_endpoint)" -d client_id={client_id} \\
  -d grant_type=urn:ietf:params:oauth:grant-type:device_code \\
  -d device_code="$(python3 -c 'import json; \\
print(json.load(open("device.json"))["device_code"])')" \\
  | python3 -c 'import json, sys; print(json.load(sys.stdin)["access_token"])')"""


def curl_text(gateway_url: str, model: str) -> str:
    """Return a streamed call with curl. It tries again after a 503 as Retry-After says."""
    return f"""curl -N --retry 10 {gateway_url}/v1/chat/completions \\
  -H "Authorization: Bearer $TOKEN" -H "Content-Type: application/json" \\
  -d '{{"model": "{model}", "stream": true,
       "messages": [{{"role": "user", "content": "List the codes: E11.9, 99213."}}]}}'"""


def python_text(gateway_url: str, model: str) -> str:
    """Return the same call with the package openai."""
    return f"""import os
from openai import OpenAI

# the client heeds Retry-After
client = OpenAI(base_url="{gateway_url}/v1", api_key=os.environ["TOKEN"], max_retries=10)
answer = client.chat.completions.create(
    model="{model}",
    messages=[{{"role": "user", "content": "List the codes: E11.9, 99213."}}],
)
print(answer.choices[0].message.content, answer.usage)"""
