"""The table of the commands. A command's module is loaded when the command is run, not before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any, NamedTuple

import typer
from typer.core import TyperGroup

__all__ = ["COMMANDS", "Command", "Commands"]


class Command(NamedTuple):
    """Where a command is, the group it is listed in, and the first line of its help.

    ``place`` is ``module.name`` below ``annotator.cli``: a function, or a ``Typer`` of several.
    """

    place: str
    group: str
    help: str


#: All commands, in the order in which the help lists them.
COMMANDS: Mapping[str, Command] = {
    "init": Command("init.init", "Begin", "Make a project: a folder with settings and a database."),
    "demo": Command(
        "demo.demo", "Begin", "Show the whole loop on sample notes in a real Label Studio."
    ),
    "import": Command(
        "import_.import_", "Begin", "Import documents; without a file, list the imports."
    ),
    "lexicon": Command("lexicon.lexicon", "Begin", "Take a lexicon that draws the first labels."),
    "connect": Command("connect.connect", "Begin", "Connect the project to Label Studio."),
    "serve": Command(
        "serve.serve", "Every day", "Serve predictions and the dashboard until Ctrl-C."
    ),
    "worker": Command(
        "worker.worker", "Every day", "Train, pull labels, predict and push until Ctrl-C."
    ),
    "status": Command(
        "status.status", "Every day", "Show counts, the model, the last run and the queue."
    ),
    "doctor": Command(
        "doctor.doctor", "Every day", "Examine the project and Label Studio, and say what helps."
    ),
    "sync": Command("sync.sync", "Every day", "Pull everything that changed in Label Studio."),
    "push": Command(
        "push.push", "Every day", "Upload tasks, predictions and their order to Label Studio."
    ),
    "next": Command(
        "next.next_", "Every day", "Show which tasks the active model would have labelled next."
    ),
    "why": Command("next.why", "Every day", "Say why a task stands where it stands in the queue."),
    "export": Command(
        "export.export", "Every day", "Write the gold labels in a format, with a manifest."
    ),
    "retrain": Command(
        "retrain.retrain", "Models", "Train a model on all gold; promote it if it is no worse."
    ),
    "runs": Command("runs.runs", "Models", "List training runs; show, follow or cancel one."),
    "models": Command(
        "models.group", "Models", "List model versions; compare them, or put one into use."
    ),
    "promote": Command(
        "models.promote", "Models", "Put a version into use, whatever the gate said."
    ),
    "rollback": Command(
        "models.rollback", "Models", "Go back to the version in use before this one."
    ),
    "predict": Command(
        "predict.predict", "Models", "Print documents with predicted entities and relations."
    ),
    "evaluate": Command(
        "evaluate.evaluate", "Models", "Score a model on gold documents, strictly."
    ),
    "experiment": Command(
        "experiment.experiment", "Research", "Train and score models as the papers did."
    ),
    "simulate": Command(
        "simulate.simulate", "Research", "Replay a gold corpus under each query strategy."
    ),
    "attention": Command(
        "attention.attention", "Research", "Draw what the encoder's heads look at, word by word."
    ),
    "adapt": Command(
        "adapt.adapt", "Research", "Adapt an encoder to your text by guessing hidden words."
    ),
    "bench": Command(
        "bench.bench", "Research", "Measure speed, as ratios of figures from one run."
    ),
    "disconnect": Command(
        "connect.disconnect", "Maintenance", "Remove the backend and its webhook from Label Studio."
    ),
    "db": Command("database.db", "Maintenance", "The database: upgrade, backup, restore."),
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
        """Write the commands group by group."""
        width = max(map(len, COMMANDS))
        for group in dict.fromkeys(one.group for one in COMMANDS.values()):
            with formatter.section(group):
                formatter.write_dl(
                    [(n.ljust(width), c.help) for n, c in COMMANDS.items() if c.group == group]
                )
