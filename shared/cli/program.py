"""`gonogo`: the command line. A command's module is imported when the command is named, which keeps the start quick.

Exit status: 0 done; 1 the service refused, or could not start; 2 wrong usage or unusable input; 3 no service
answered; 4 done, but items failed, the batch did not complete, or the results are not final; 130 interrupted.

Completion comes from click: `eval "$(_GONOGO_COMPLETE=bash_source gonogo)"`, or `zsh_source`, `fish_source`.
"""

import importlib
import os
import sys
from collections.abc import Sequence
from typing import cast

import click

from shared.cli.commands import training
from shared.cli.output import printable
from shared.errors import GonogoError
from shared.interrupts import ending_at_once

REFUSED, USAGE, UNREACHABLE, INCOMPLETE, INTERRUPTED = 1, 2, 3, 4, 130
_STATUS = {
    "unreachable": UNREACHABLE,
    "unusable_input": USAGE,
    "invalid_settings": USAGE,
    "usage": USAGE,
    "data_dir_in_use": USAGE,
    "data_dir_unusable": USAGE,
    "results_cut": INCOMPLETE,
}
_SHOWN_ERRORS = 20
_MODULES = {  # command → its module in commands/
    "up": "up",
    "demo": "demo",
    "submit": "submit",
    "predict": "predict",
    "status": "batches",
    "watch": "batches",
    "watch-folder": "watch_folder",
    "pause": "steering",
    "resume": "steering",
    "retry": "steering",
    "rescore": "rescoring",
    "rerun": "reruns",
    "diff": "reruns",
    "cancel": "steering",
    "delete": "steering",
    "results": "results",
    "items": "items",
    "item": "items",
    "parts": "parts",
    "review": "review",
    "models": "models",
    "shadow": "shadow",
    "drift": "drift",
    "workers": "workers",
    "keys": "keys",
    "webhooks": "webhooks",
    "audit": "audit",
    "quotas": "quotas",
    "doctor": "doctor",
    "backup": "backup",
    "migrate": "migrate",
    **dict.fromkeys(training.COMMANDS, "training"),
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _MODULES:
            return None
        with ending_at_once():
            module = importlib.import_module(f"shared.cli.commands.{_MODULES[cmd_name]}")
        return cast(click.Command, getattr(module, cmd_name.replace("-", "_")))

    def invoke(self, ctx: click.Context) -> int:
        """Run a command; an error becomes one line on stderr and an exit status, never a traceback."""
        try:
            return int(super().invoke(ctx) or 0)
        except GonogoError as error:
            _say(error)
            for entry in getattr(error, "errors", [])[:_SHOWN_ERRORS]:
                if not _place(entry) and str(entry.get("detail")) in str(error):
                    continue  # it says again what the line above says
                print(f"  {printable(_entry(entry))}", file=sys.stderr)
            return _STATUS.get(error.code, REFUSED)
        except TimeoutError as error:
            _say(error)
            return INCOMPLETE
        except BrokenPipeError:  # the reader of our output went away
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except OSError as error:  # no room, no permission: the system says what and where
            _say(error)
            return REFUSED
        except KeyboardInterrupt:
            return INTERRUPTED


@click.command(
    cls=_Commands,
    help="Asynchronous visual inspection: a batch of part images in, a verdict for each out.",
    epilog="Exit status: 0 done; 1 refused; 2 usage; 3 no service; 4 items failed; 130 interrupted.",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(package_name="gonogo", prog_name="gonogo")
def gonogo() -> None:
    pass


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if argv and argv[0] in training.COMMANDS:
        training.become(argv)
    try:
        return gonogo.main(argv, prog_name="gonogo", standalone_mode=False) or 0
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return INTERRUPTED


def _say(error: Exception) -> None:
    print(f"gonogo: {printable(error)}", file=sys.stderr)


def _entry(entry: dict[str, object]) -> str:
    return ": ".join([_place(entry) or "error", str(entry.get("detail") or entry.get("code") or "")])


def _place(entry: dict[str, object]) -> str:
    return ", ".join(f"{name} {entry[name]}" for name in ("filename", "line", "pointer") if entry.get(name))
