"""``annotator status``: one look at the project."""

from __future__ import annotations

from typing import Any

from annotator.cli.options import HomeOption, JsonOption
from annotator.cli.project import emit, open_project
from annotator.counted import counted

__all__ = ["status"]


def status(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show counts, the model, the last run and the queue.

    Example: annotator status
    """
    with open_project(home) as opened:
        from annotator.services.reports.status import project_status

        value = project_status(opened.database, opened.project, opened.settings)
    emit(value, _lines(value), as_json=as_json)


def _lines(value: dict[str, Any]) -> list[str]:
    from annotator.services.reports.status import learning_lines

    tasks, studio, run = value["tasks"], value["label_studio"], value["last_run"]
    lines = [
        f"project        {value['project']} ({value['unit']} tasks)",
        f"documents      {value['documents']['train']} to learn from, "
        f"{value['documents']['holdout']} in the hold-out; "
        f"{counted(value['n_sentences'], 'sentence')}",
        f"gold           {_gold(value)}",
        f"new gold       {counted(value['n_new_sentences'], 'sentence')} since the last run that "
        f"gave a version ({_next_run(value)})",
        f"tasks          {tasks['open']} open, {tasks['labelled']} labelled, "
        f"{tasks['skipped']} skipped",
        f"model          {_model(value['active_version'], value['under_way'])}",
        f"last run       {_last_run(run)}",
        f"worker         {'alive' if value['worker']['alive'] else 'not running'}",
        f"label studio   {_place(studio)}",
    ]
    if studio["stranger"]:
        lines.append(f"warning        {studio['stranger']}")
    if value["queue"]:
        head = ", ".join(str(item["task"]) for item in value["queue"])
        lines.append(f"shown next     tasks {head}")
    shares = [
        f"{share:.0%} of the predicted {kind}"
        for kind, share in value["accepted_share"].items()
        if share is not None
    ]
    if shares:
        lines.append(f"people keep    {', '.join(shares)}")
    lines += learning_lines(value["learning"])
    if value["cost"]:
        lines.append(f"a task takes   {value['cost']['summary']}")
    return lines + _warnings(value, studio)


def _warnings(value: dict[str, Any], studio: dict[str, Any]) -> list[str]:
    lines = []
    for one in value["troubles"]:
        lines.append(f"trouble        {one['part']}: {one['problem']} (since {one['since'][:16]})")
    if studio["refused"]:
        lines.append(
            f"warning        Label Studio refuses predictions of {len(studio['refused'])} tasks; "
            "annotator push tries them again"
        )
    if studio["next"] and not studio["next"]["verified"]:
        lines.append(f"warning        {studio['next']['problem']}")
    lines += _unlearnt(value["learnable"])
    lines += _contradictions(value["contradictions"])
    if value["n_unread"]:
        lines.append(
            f"not read       annotations: {value['n_unread']}; no gold, since they name what the "
            "labeling configuration no longer has"
        )
    if value["label_issues"]:
        kinds = ", ".join(f"{n} {kind}" for kind, n in sorted(value["label_issues"].items()))
        lines.append(f"label issues   {kinds} (column issues of the table annotation)")
    failed = value["inbox"]["failed"]
    if failed:
        lines.append(f"inbox          {failed} events could not be understood; sync pulls them")
    return lines


def _contradictions(found: dict[str, int]) -> list[str]:
    if not any(found.values()):
        return []
    return [
        f"contradictions {found['places']} labels differ from others of the same text, "
        f"{found['texts']} texts are labelled twice and differ (annotator doctor lists where)"
    ]


def _unlearnt(learnable: dict[str, Any]) -> list[str]:
    if not learnable["left_out"]:
        return []
    from annotator.text import describe_left_out

    n_left_out = learnable["n_labels"] - learnable["n_learnable"]
    return [
        f"not learnt     {n_left_out} of {learnable['n_labels']} labels: "
        f"{describe_left_out(learnable['left_out'])} (annotator doctor lists where)"
    ]


def _gold(value: dict[str, Any]) -> str:
    """Say how much of the text has labels that people stand behind, in sentences."""
    gold, n_all = value["gold"], value["n_sentences"]
    share = f", {value['n_gold'] / n_all:.0%} of {n_all}" if n_all else ""
    return (
        f"{counted(value['n_gold'], 'sentence')}{share}: {gold['train']} to learn from, "
        f"{gold['holdout']} in the hold-out{_unseen(gold['in_bulk'])}"
    )


def _unseen(n_in_bulk: int) -> str:
    return f" ({n_in_bulk} of them predictions accepted in bulk)" if n_in_bulk else ""


def _place(studio: dict[str, Any]) -> str:
    if not studio["connected"]:
        return "not connected; annotator connect URL --token T --project N"
    url, page = studio["url"], studio["page"]
    return page if page.startswith(f"{url}/") else f"{page} (called at {url})"


def _last_run(run: dict[str, Any] | None) -> str:
    from annotator.cli.watch import describe_state

    if run is None:
        return "none"
    return f"{run['id']} {describe_state(run['state'], cancel_requested=run['cancel_requested'])}"


def _next_run(value: dict[str, Any]) -> str:
    """Say what becomes of the new sentences: a run is due at so many, or learns from them."""
    run, last = value["under_way"], value["last_run"]
    if run is not None:
        return f"run {run['id']} is {'training' if run['state'] == 'running' else 'waiting'}"
    if not value["n_until_run"]:
        return "enough for a run"
    if value["n_new_sentences"] < value["retrain_at"]:
        return f"trains at {value['retrain_at']}"
    return (
        f"run {last['id']} was {'cancelled' if last['state'] == 'cancelled' else 'no success'}: "
        f"{value['n_until_run']} more start another, or annotator retrain"
    )


def _model(version: dict[str, Any] | None, run: dict[str, Any] | None) -> str:
    if version is None and run is not None:
        return f"none yet; run {run['id']} trains the first"
    if version is None:
        return "none yet; annotator retrain --wait trains one"
    holdout = version["metrics"].get("holdout")
    if not holdout or not holdout["n_sentences"]:
        return f"{version['name']} (provisional: there is no hold-out to measure on)"
    return (
        f"{version['name']}: entities F1 {holdout['ner']['micro']['f1']:.1f}, relations F1 "
        f"{holdout['re']['micro']['f1']:.1f} on {holdout['n_sentences']} hold-out sentences"
        + (" (provisional: too few to judge by)" if version["provisional"] else "")
    )
