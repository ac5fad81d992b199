"""The program ``annotator``: its commands, and the one place where errors become exit codes."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from annotator import __version__
from annotator.cli.commands import Commands
from annotator.errors import AnnotatorError
from annotator.logs import configure_logs

__all__ = ["app", "main"]

app = typer.Typer(
    name="annotator",
    cls=Commands,
    help="Label entities and relations in clinical text with a model at your side.\n\n"
    "Start with: annotator demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Take options that stand before the command."""


def main() -> None:
    """Run the command line. Exit code 0: done; 1: an error, said in one line; 2: wrong use."""
    os.umask(0o077)  # whatever is written may hold clinical text: it is its owner's alone
    configure_logs(json_lines=False, level="WARNING")  # to stderr; stdout is for results
    try:
        code = app(prog_name="annotator", standalone_mode=False)
        sys.exit(code if isinstance(code, int) else 0)
    except TyperException as error:
        _refuse(error)
    except AnnotatorError as error:
        _fail(error)
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
    except OSError as error:
        _fail(AnnotatorError(_explain(error)))
    except Exception as error:  # the program's edge: one line, or a traceback on demand
        _fail(
            AnnotatorError(
                f"unexpected {type(error).__name__}; run again with annotator --debug ... and "
                "report what it prints"
            )
        )


def _refuse(error: Any) -> None:
    """Say what was wrong with the words of the command, in the style of all errors."""
    if type(error).__name__ == "NoArgsIsHelpError":  # its message is the help
        typer.echo(error.format_message(), err=True)
        sys.exit(error.exit_code)
    where = error.ctx.command_path if getattr(error, "ctx", None) else "annotator"
    message = error.format_message().rstrip(".")
    typer.echo(f"annotator: error: {message}; see {where} --help", err=True)
    sys.exit(error.exit_code)


def _explain(error: OSError) -> str:
    where = f" ({error.filename})" if error.filename else ""
    remedy = "check that the folder exists and may be read and written"
    if error.errno == errno.ENOSPC:
        remedy = "free some disk space and run it again"
    return f"{error.strerror or type(error).__name__}{where}; {remedy}"


def _fail(error: AnnotatorError) -> None:
    if "--debug" in sys.argv:
        traceback.print_exc()
    typer.echo(f"annotator: error: {error}", err=True)
    sys.exit(1)


if __name__ == "__main__":
    main()
