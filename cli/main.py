"""`potp2p`: every command of the product; errors become one line and the documented exit code."""

import os
import sys
from typing import Annotated

import typer
from typer.exceptions import TyperException

from cli.commands import (
    bench,
    certificate,
    chain,
    devnet,
    explain,
    init,
    simulate,
    start,
    status,
    task,
    validator,
    verify,
    wallet,
)
from cli.exits import ExitCode, exit_code_of, line_of, root_cause
from cli.output import print_lines
from potp2p.foundation.errors import PeerError
from potp2p.foundation.version import VERSION

application = typer.Typer(
    name="potp2p",
    help="Train models for others, earn POT; or have a model trained.",
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
application.command("init")(init.init)
application.command("start")(start.start)
application.command("status")(status.status)
application.command("devnet")(devnet.devnet)
application.command("simulate")(simulate.simulate)
application.add_typer(wallet.application, name="wallet")
application.add_typer(task.application, name="task")
application.add_typer(certificate.application, name="certificate")
application.add_typer(validator.application, name="validator")
application.add_typer(chain.application, name="chain")
application.add_typer(explain.application, name="explain")
application.add_typer(verify.application, name="verify")
application.add_typer(bench.application, name="bench")


@application.command("version")
def version() -> None:
    """Print the version."""
    print_lines(f"potp2p {VERSION}")


def _show_version(wanted: bool) -> None:
    if wanted:
        version()
        raise typer.Exit


@application.callback(invoke_without_command=True)
def welcome(
    context: typer.Context,
    _version: Annotated[
        bool,
        typer.Option(
            "-V", "--version", is_eager=True, callback=_show_version, help="Print the version."
        ),
    ] = False,
) -> None:
    """Train models for others, earn POT; or have a model trained."""
    if context.invoked_subcommand is None:
        print_lines(
            f"potp2p {VERSION} - train models for others, earn POT.",
            "  Start here      potp2p init          See it work      potp2p devnet",
            "  I have a model  potp2p task prepare  Help             potp2p --help",
        )


def main() -> None:
    """Console entry."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line; return its exit code."""
    try:
        outcome: object = application(arguments, prog_name="potp2p", standalone_mode=False)
    except TyperException as error:
        text = error.format_message()
        if "\n" in text:
            # A noun without its verb: the help of the noun.
            sys.stderr.write(f"{text}\n")
        else:
            _complain(text)
        return error.exit_code
    except typer.Abort:
        return ExitCode.INTERRUPTED
    except BrokenPipeError:
        # The reader of our output left: nothing more can be said to it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.ERROR
    except BaseException as error:
        cause = root_cause(error)
        if isinstance(cause, KeyboardInterrupt):
            return ExitCode.INTERRUPTED
        code = exit_code_of(cause)
        if code is None or (isinstance(cause, PeerError) and arguments[:1] == ["start"]):
            # Peers' faults end at a node's edge: one that ends the node is a bug of ours.
            raise
        if code not in {ExitCode.INTERRUPTED, ExitCode.TERMINATED}:
            _complain(line_of(cause))
        return code
    return outcome if isinstance(outcome, int) else ExitCode.DONE


def _complain(text: str) -> None:
    sys.stderr.write(f"potp2p: {text}\n")


if __name__ == "__main__":
    main()
