"""``annotator models``, ``promote`` and ``rollback``: versions one can go back to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from annotator.cli.options import HomeOption, JsonOption
from annotator.cli.project import OpenProject, emit, open_project
from annotator.errors import NotFoundError

if TYPE_CHECKING:
    from annotator.store.versions import ModelVersion

__all__ = ["group", "promote", "rollback"]

group = typer.Typer(help="List model versions; compare them, or put one into use.")
_NAME = "A name that annotator models lists."
_TextOption = Annotated[
    bool,
    typer.Option(
        "--text", help="Show the text of the sentences that flipped, on the terminal alone."
    ),
]


@group.callback(invoke_without_command=True)
def models(context: typer.Context, home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List model versions; compare them, or put one into use.

    Example: annotator models
    """
    if context.invoked_subcommand is None:
        list_models(home, as_json)
    elif home is not None or as_json:
        raise typer.BadParameter(f"write options after {context.invoked_subcommand}")


@group.command("list")
def list_models(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List model versions, newest first, with their strict scores on the hold-out.

    Example: annotator models list
    """
    with open_project(home) as opened, opened.database.read() as session:
        from annotator.store.versions import list_versions, version_to_json

        found = list_versions(session, opened.project.id)
    emit(
        {"versions": [version_to_json(v) for v in found]},
        [_line(v) for v in found] or ["no model yet; annotator retrain makes one"],
        as_json=as_json,
    )


@group.command("show")
def show(
    version: Annotated[
        str | None, typer.Argument(help="The version; by default the one in use.")
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a version's card, what it learnt from and how, its files, and its audit lines.

    Example: annotator models show
    """
    with open_project(home) as opened:
        from annotator.services.models.card import describe_version

        name = version or _active(opened)
        found = describe_version(opened.database, opened.project.id, name)
    emit(found, _describe(found), as_json=as_json)


@group.command("diff")
def diff(
    a: Annotated[str, typer.Argument(help="The older version.")],
    b: Annotated[
        str | None, typer.Argument(help="The newer version; by default the one in use.")
    ] = None,
    text: _TextOption = False,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two versions on the hold-out as it is now: by type, and sentence by sentence.

    A sentence is right if each of its entities and relations is found and nothing else is.

    Example: annotator models diff my-project-3-1a2b3c4d
    """
    if text and as_json:
        raise typer.BadParameter("--text is for the terminal; --json names sentences by place")
    with open_project(home) as opened:
        from annotator.services.models.evaluate import compare_versions

        found = compare_versions(
            opened.database,
            opened.project.id,
            a=a,
            b=b or _active(opened),
            device=opened.settings.device,
            seed=opened.settings.seed,
            least=opened.settings.holdout_least,
        )
    value = found.to_json()
    lines = _changes(value)
    for title, sentences in (("right now", found.fixed), ("wrong now", found.broken)):
        lines += [
            f"{title}: {s.document} at {s.start}"
            + (f"  {' '.join(s.text.split())}" if text else "")
            for s in sentences
        ]
    emit(value, lines, as_json=as_json)


@group.command(
    "promote", help="Same as annotator promote.\n\nExample: annotator models promote NAME"
)
def promote(
    version: Annotated[str, typer.Argument(help=_NAME)],
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Put a version into use, whatever the gate said.

    The audit trail notes it.

    Example: annotator promote default-3-1a2b3c4d
    """
    with open_project(home) as opened:
        from annotator.services.models.registry import promote_version

        found = promote_version(opened.database, opened.project.id, version, actor="command")
        _publish(opened, found, as_json=as_json)


@group.command("rollback", help="Same as annotator rollback.\n\nExample: annotator models rollback")
def rollback(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Go back to the version in use before this one.

    Again, it goes back by one more; never to a version that was rolled back from, which annotator
    promote puts into use.

    Example: annotator rollback
    """
    with open_project(home) as opened:
        from annotator.services.models.registry import roll_back

        found = roll_back(opened.database, opened.project.id, actor="command")
        _publish(opened, found, as_json=as_json)


def _active(opened: OpenProject) -> str:
    from annotator.store.versions import active_version

    with opened.database.read() as session:
        version = active_version(session, opened.project.id)
    if version is None:
        raise NotFoundError("no version is in use; name one that annotator models lists")
    return version.name


def _publish(opened: OpenProject, version: ModelVersion, *, as_json: bool) -> None:
    from annotator.jobs.messages import JobQueue
    from annotator.store.versions import version_to_json

    queue = JobQueue(opened.settings.queue, secret=opened.settings.queue_secret)
    try:
        queue.publish()
    finally:
        queue.close()
    emit(
        version_to_json(version),
        [f"{version.name} is in use; a running worker brings Label Studio up to date"],
        as_json=as_json,
    )


def _line(version: ModelVersion) -> str:
    holdout = version.metrics.get("holdout")
    scores = "no hold-out scores"
    if holdout and holdout["n_sentences"]:
        ner, re = holdout["ner"]["micro"]["f1"], holdout["re"]["micro"]["f1"]
        scores = f"entities F1 {ner:.1f}, relations F1 {re:.1f}"
    state = version.state + (" (provisional)" if version.provisional else "")
    return f"{version.name:<28} {state:<22} {version.created_at:%Y-%m-%d %H:%M}  {scores}"


def _describe(found: dict[str, Any]) -> list[str]:
    from annotator.services.reports.status import agreement_lines

    snapshot, run, files = found["snapshot"], found["run_details"], found["files"]
    sides = {
        side: ", ".join(f"{n} from {source}" for source, n in sources.items()) or "none"
        for side, sources in snapshot["sources"].items()
    }
    lines = [found["card"]] if found["card"] else [f"# {found['name']}", "", "The card is gone."]
    lines += [
        "## In the registry",
        "",
        f"state     {found['state']}" + (", provisional" if found["provisional"] else ""),
        f"SHA-256   {found['sha256']}",
        f"labels    {sides['train']} to learn from; {sides['holdout']} of the hold-out",
        f"snapshot  {snapshot['id']}, {snapshot['n_sentences']} training sentences, "
        f"{snapshot['digest']}",
        f"run       {run['id']}, {run['state']}, by {run['trigger']}: {'; '.join(run['reasons'])}",
        f"files     {files['size_bytes'] / 1e6:.1f} MB in {files['folder']}"
        if files
        else "files     deleted, see the setting keep_versions",
        *agreement_lines(found["metrics"]),
    ]
    lines += [
        f"{line['at'][:16].replace('T', ' ')}  {line['action']} by {line['actor']}"
        for line in found["audit"]
    ]
    return lines


def _changes(value: dict[str, Any]) -> list[str]:
    joint = value["joint_f1"]
    lines = [
        f"{value['a']} -> {value['b']} on {value['n_sentences']} test sentences of the hold-out",
        f"joint F1 {joint['a']:.1f} -> {joint['b']:.1f}; as the gate would say it, "
        + "; ".join(value["reasons"]),
        "",
        f"{'':<24} {'precision':>15} {'recall':>15} {'F1':>15} {'change':>7} {'gold':>6}",
    ]
    for kind, head in (("entity", "ner"), ("relation", "re")):
        lines.append(_row(f"all {kind} types", value[head]["micro"]))
        lines += [_row(f"  {name}", change) for name, change in value[head]["types"].items()]
    flips = f"{len(value['fixed'])} sentences right now, {len(value['broken'])} wrong now"
    return [*lines, "", flips]


def _row(title: str, change: dict[str, Any]) -> str:
    cells = [f"{change['a'][key]:5.1f} -> {change['b'][key]:5.1f}" for key in ("p", "r", "f1")]
    numbers = " ".join(f"{cell:>15}" for cell in cells)
    return f"{title:<24} {numbers} {change['f1_change']:>+7.1f} {change['n']:>6}"
