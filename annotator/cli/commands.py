"""The table of the commands. A command's module is loaded when the command is run, not before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperCommand, TyperGroup

__all__ = ["COMMANDS", "Command", "Commands"]


class Command(NamedTuple):
    """Where a command is, and the first line of its help.

    ``place`` is ``module.name`` below ``annotator.cli``: a function, or a ``Typer`` of several.
    """

    place: str
    help: str


#: All commands, in the order in which the help lists them.
COMMANDS: Mapping[str, Command] = {
    "init": Command(
        "init.init",
        "Make a project: a folder with settings, credentials and a database.",
    ),
    "demo": Command(
        "demo.demo",
        "Show the whole loop: sample notes, a real Label Studio, a model, retraining.",
    ),
    "import": Command(
        "import_.import_",
        "Import documents. Running it again adds only what is new.",
    ),
    "lexicon": Command(
        "lexicon.lexicon",
        "Take a lexicon: it draws the first labels and looks for rare types, until there is a "
        "model.",
    ),
    "connect": Command(
        "connect.connect",
        "Connect the project to Label Studio; annotator serve must be running.",
    ),
    "disconnect": Command(
        "connect.disconnect",
        "Remove the backend and its webhook from Label Studio. Labels and tasks stay in both.",
    ),
    "doctor": Command(
        "doctor.doctor",
        "Look at every part of the project and of Label Studio, and say what helps.",
    ),
    "serve": Command(
        "serve.serve",
        "Serve predictions to Label Studio and the dashboard to people, until Ctrl-C.",
    ),
    "worker": Command(
        "worker.worker",
        "Work for the project until Ctrl-C: train, pull labels, predict, push the queue's order.",
    ),
    "retrain": Command(
        "retrain.retrain",
        "Train a model on all gold, measure it on the hold-out, and promote it if it is better.",
    ),
    "promote": Command(
        "models.promote",
        "Put a version into use, whatever the gate said; the audit trail notes it.",
    ),
    "rollback": Command(
        "models.rollback",
        "Go back to the version that was in use before this one.",
    ),
    "next": Command("next.next_", "Show which tasks the active model would have labelled next."),
    "why": Command("next.why", "Say why a task stands where it stands in the queue."),
    "predict": Command(
        "predict.predict",
        "Print each document with predicted entities and relations, one JSON object a line.",
    ),
    "push": Command(
        "push.push",
        "Upload documents as tasks and push the active model's predictions and order.",
    ),
    "sync": Command(
        "sync.sync",
        "Pull what changed in Label Studio, even if every webhook was lost.",
    ),
    "export": Command(
        "export.export",
        "Write the gold labels with a manifest and a report on what the format cannot express.",
    ),
    "evaluate": Command("evaluate.evaluate", "Score a model on gold documents, strictly."),
    "experiment": Command(
        "experiment.experiment",
        "Train and score models as the papers did: their corpora, their splits, strict F1.",
    ),
    "simulate": Command(
        "simulate.simulate",
        "Replay a gold corpus: what would each strategy have cost, against random order?",
    ),
    "attention": Command(
        "attention.attention",
        "Draw what the encoder's heads look at, word by word, and find heads with a pattern.",
    ),
    "adapt": Command(
        "adapt.adapt",
        "Adapt an encoder to your text, labelled or not, by guessing hidden words. Needs no "
        "project.",
    ),
    "status": Command(
        "status.status",
        "Show counts, the model in use, the last run, the queue's head and what is running.",
    ),
    "runs": Command("runs.runs", "Training runs: list, show, logs, cancel."),
    "models": Command(
        "models.group",
        "Model versions, newest first; what each is worth; and going back.",
    ),
    "db": Command("database.db", "The database: upgrade, backup, restore."),
    "bench": Command("bench.bench", "Measure speed, as ratios of figures from one run."),
}


class _Loaded(Mapping[str, Any]):
    """The commands as typer makes them, each made when it is asked for."""

    def __getitem__(self, name: str) -> Any:
        module, _, attribute = COMMANDS[name].place.partition(".")
        found = getattr(import_module(f"annotator.cli.{module}"), attribute)
        one = typer.Typer(rich_markup_mode=None)
        if isinstance(found, typer.Typer):
            one.add_typer(found, name=name)
        else:
            one.command(name)(found)
        return typer.main.get_group(one).commands[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)


class Commands(TyperGroup):
    """The group of all commands; to list them with their help, none is loaded."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.commands: Any = _Loaded()

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the list of the commands."""
        listed: Any = {name: TyperCommand(name, help=one.help) for name, one in COMMANDS.items()}
        TyperGroup(commands=listed).format_commands(ctx, formatter)
