"""The commands: each reads what was written, does one thing, and says how it ended."""

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from apps.cli import exits, publishing, verification, watching
from apps.cli.names import VersionName, model_name, version_name
from apps.cli.output import answer, note, size, table
from apps.cli.session import Chosen, connected
from apps.cli.sign_in import Provider, Question
from apps.cli.store import Store
from apps.common.model_manifest import FileEntry, digest

app = typer.Typer(
    name="quartermaster",
    help="Publish, check, evaluate and propose versions of models in Quartermaster.",
    epilog=exits.epilog(),
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
UNVERIFIED = ("UPLOADING", "SIGNING", "VERIFYING", "FAILED")  # of which nobody knows anything yet
Json = Annotated[bool, typer.Option("--json", help="Answer with one JSON document.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]
Timeout = Annotated[
    float | None, typer.Option(min=0, help="The longest wait, in seconds; no limit without it.")
]
Version = Annotated[str, typer.Argument(help="A version's name, such as extract-v3.")]


@app.callback()
def choose(
    context: typer.Context,
    portal: Annotated[
        str,
        typer.Option(envvar="QUARTERMASTER_URL", help="The portal's address."),
    ] = "",
) -> None:
    """Publish, check, evaluate and propose versions of models in Quartermaster."""
    context.obj = Chosen(portal)


@app.command()
def login(
    context: typer.Context,
    portal: Annotated[str, typer.Option(help="The portal's address.")] = "",
    as_json: Json = False,
) -> None:
    """Sign in with a browser. The token is kept on this machine, for you alone."""
    store = Store.of_environment()
    url = (Chosen(portal) if portal else context.obj).address(store)

    def ask(question: Question) -> None:
        note(f"Open {question.url} and check that it shows {question.code}.")

    signed_in = Provider().sign_in(url, ask)  # which may take minutes: other commands go on
    with store.locked():
        store.keep(url, signed_in)
    ends = datetime.fromtimestamp(signed_in.expires_at, UTC).isoformat(timespec="seconds")
    lasting = "the sign-in renews itself" if signed_in.refresh_token else f"it is good until {ends}"
    document = {"portal": url, "expires_at": ends, "renewable": bool(signed_in.refresh_token)}
    answer(document, f"Signed in to {url}; {lasting}.", as_json=as_json)


@app.command()
def logout(context: typer.Context, as_json: Json = False) -> None:
    """Forget the sign-in on this machine."""
    store = Store.of_environment()
    url = context.obj.address(store)
    with store.locked():
        was_there = store.forget(url)
    words = f"Signed out of {url}." if was_there else f"You were not signed in to {url}."
    answer({"portal": url, "was_signed_in": was_there}, words, as_json=as_json)


@app.command()
def whoami(context: typer.Context, as_json: Json = False) -> None:
    """Show who you are to the portal."""
    with connected(context.obj) as portal:
        me = portal.read("me")
    roles = ", ".join(str(role).replace("_", " ").lower() for role in me["roles"]) or "no role"
    team = f" in {me['team']}, paid for by {me['cost_center']}" if me["team"] else ""
    answer(me, f"{me['name']} ({me['username']}){team}: {roles}.", as_json=as_json)


@app.command()
def publish(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="The folder with the files of one version.")],
    model: Annotated[str, typer.Option("--model", "-m", help="The model's name.")],
    remark: Annotated[str, typer.Option("--note", help="What changed, in your words.")] = "",
    number: Annotated[int | None, typer.Option(min=1, help="The version's number.")] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Publish even what a version has already.")
    ] = False,
    wait: Annotated[bool, typer.Option(help="Wait until every byte is verified.")] = True,
    timeout: Timeout = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Publish a folder as a version. Files go straight to S3; after an interruption run it again,
    and it goes on where it stopped.
    """
    order = publishing.Order(folder, model_name(model), remark, number, again, quiet)
    with connected(context.obj) as portal:
        found = publishing.publish(portal, order)
        if wait:
            name = VersionName(found["model"], found["number"])
            found = watching.follow(portal, watching.version(name), timeout=timeout, quiet=quiet)
    _say_version(found, as_json)


def _say_version(found: Any, as_json: bool) -> None:
    name = f"{found['model']}-v{found['number']}"
    state = str(found["status"]).lower()
    signed = f" {found['manifest_digest']}, signed by {found['signer']}." if found["signer"] else ""
    answer(found, f"{name} is {state}.{signed}", as_json=as_json)


@app.command()
def verify(
    context: typer.Context,
    version: Annotated[str, typer.Argument(help="A version's name, such as extract-v3.")] = "",
    folder: Annotated[
        Path | None, typer.Option(help="A copy on this machine, which is read to the last byte.")
    ] = None,
    public_key: Annotated[
        Path | None,
        typer.Option(help="The registry's public keys (PEM): check a copy without asking anybody."),
    ] = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Check a version's bytes and signature. The portal is asked what it knows; with --folder a
    copy is read too, and with --public-key its own signature is checked, offline.
    """
    name = version_name(version) if version else None
    if public_key is not None:
        report = _verify_copy(name, folder, public_key, quiet)
    elif name is not None:
        report = _verify_online(context.obj, name, folder, quiet)
    else:
        raise exits.BadUse("Name a version, or a copy with --folder and --public-key.")
    if report.problems:
        raise _untrue(report, as_json)
    signed = f", signed by {report.signer}" if report.signer else ""
    words = f"{report.name} is whole: {report.files} files, {size(report.bytes)}"
    answer(report.document(), f"{words}, {report.digest}{signed}.", as_json=as_json)


def _verify_copy(
    name: VersionName | None, folder: Path | None, public_key: Path, quiet: bool
) -> verification.Report:
    if folder is None:
        raise exits.BadUse("Name the copy with --folder.")
    report = verification.check_copy(folder, verification.keys_in(public_key), quiet=quiet)
    if name is not None and report.name != str(name):
        report.problems.append(f"It is {report.name}, not {name}.")
    return report


def _verify_online(
    chosen: Chosen, name: VersionName, folder: Path | None, quiet: bool
) -> verification.Report:
    with connected(chosen) as portal:
        found = portal.read(name.path)
    listed = [FileEntry(one["name"], one["size"], one["sha256"]) for one in found["files"]]
    total = sum(one.size for one in listed)
    report = verification.Report(str(name), digest(listed), found["signer"], len(listed), total)
    state = str(found["status"]).lower()
    if found["status"] in UNVERIFIED:
        words = f"{name} is {state}: it has not been verified. {found['message']}"
        raise exits.Refused(words.strip(), code="not_verified")
    if found["status"] != "VERIFIED":
        report.problems.append(f"{name} is {state}. {found['message']}".strip())
    elif found["manifest_digest"] != report.digest:
        report.problems.append(
            f"The portal signed {found['manifest_digest']}, but lists files of {report.digest}."
        )
    elif folder is not None:
        checked = verification.check_files(folder, str(name), listed, quiet=quiet)
        report.problems += checked.problems
    return report


def _untrue(report: verification.Report, as_json: bool) -> exits.Untrue:
    """Return the error for what is not whole; its document is the answer, as for what is."""
    if as_json:
        answer(report.document(), "", as_json=True)
    return exits.Untrue(f"{report.name} is not what was signed. " + " ".join(report.problems))


@app.command()
def evaluate(
    context: typer.Context,
    version: Version,
    wait: Annotated[bool, typer.Option(help="Wait for the result.")] = True,
    timeout: Timeout = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Evaluate a verified version on the suite that decides."""
    name = version_name(version)
    body = {"model": name.model, "version": name.number}
    with connected(context.obj) as portal:
        run = portal.send("evaluation-runs", body, repeatable=False)
        if wait:
            what = watching.evaluation(run["id"])
            run = watching.follow(portal, what, timeout=timeout, quiet=quiet)
    state = str(run["status"]).lower()
    answer(run, f"Evaluation run {run['id']} of {name} is {state}.", as_json=as_json)


@app.command()
def propose(
    context: typer.Context,
    version: Version,
    justification: Annotated[
        str, typer.Option("--justification", "-j", help="Why it should serve.")
    ],
    asleep: Annotated[
        bool, typer.Option("--scale-to-zero", help="Sleep while nobody calls.")
    ] = False,
    pre_warm: Annotated[
        str,
        typer.Option(help="Keep it ready at these hours: mon-fri 07:30-19:00 America/New_York."),
    ] = "",
    without_traffic: Annotated[
        bool, typer.Option("--without-traffic", help="Go on where too few calls came to compare.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Propose that an evaluated version serves its model's callers. Another person decides."""
    name = version_name(version)
    body = {
        "model": name.model,
        "version": name.number,
        "justification": justification,
        "serving_class": "SCALE_TO_ZERO" if asleep else "WARM",
        "pre_warm": pre_warm,
        "without_traffic": without_traffic,
    }
    with connected(context.obj) as portal:
        made = portal.send("promotions", body, repeatable=False)
    needs = f" It needs the approval of {made['next_approval']}." if made["next_approval"] else ""
    answer(made, f"{name} is proposed as promotion {made['id']}.{needs}", as_json=as_json)


@app.command()
def watch(
    context: typer.Context,
    what: Annotated[
        str, typer.Argument(help="A version, or the id of an evaluation run, promotion or rollout.")
    ],
    timeout: Timeout = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Wait until something has ended. Each change on the way is reported."""
    with connected(context.obj) as portal:
        subject = watching.subject(portal, what)
        found = watching.follow(portal, subject, timeout=timeout, quiet=quiet)
    state = str(found[subject.field]).replace("_", " ").lower()
    words = f"{subject.begins} is {state}."
    answer(found, words, as_json=as_json)


@app.command()
def usage(
    context: typer.Context,
    month: Annotated[
        str, typer.Option(help="The month, such as 2026-11; without it, this one (UTC).")
    ] = "",
    as_json: Json = False,
) -> None:
    """Show a month's usage and its list price, as far as you may see them."""
    month = month or datetime.now(UTC).strftime("%Y-%m")
    with connected(context.obj) as portal:
        found = portal.read(f"chargeback/{quote(month, safe='')}")
    answer(found, _usage_words(found), as_json=as_json)


def _usage_words(found: Any) -> str:
    if not found["lines"]:
        return f"No usage in {found['month']} that you may see."
    heads = ["Team", "Model", "Version", "Calls", "Tokens in", "of them cached", "Tokens out"]
    rows = [[*heads, f"List price, {found['currency']}"]]
    for line in found["lines"]:
        counts = (
            line["metered_calls"],
            line["input_tokens"],
            line["cached_input_tokens"],
            line["output_tokens"],
        )
        names = [line["team"], line["model"], line["version"]]
        rows.append([*names, *(f"{count:,}" for count in counts), _price(line)])
    return table(rows)


def _price(line: Any) -> str:
    """Return a line's price; a word where there is none, and where it is not all."""
    if line["list_cost_usd"] is None:
        return "no price"
    left_out = line["unpriced_tokens"] or line["unpriced_requests"]
    return f"{Decimal(line['list_cost_usd']):,.2f}" + (" and unpriced usage" if left_out else "")
