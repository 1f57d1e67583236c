"""`gonogo`: the command line. Each command lives in a module of its own; none of them imports a program.

Exit status: 0 done; 1 the service refused, or could not start; 2 wrong usage or unusable input; 3 no service
answered; 4 done, but items failed or a batch did not complete; 130 interrupted.
"""

import argparse
import os
import sys
from collections.abc import Sequence

from shared.cli.commands import backup, batches, demo, doctor, keys, models, programs, submit, up
from shared.errors import GonogoError

REFUSED, USAGE, UNREACHABLE, INCOMPLETE, INTERRUPTED = 1, 2, 3, 4, 130
_STATUS = {
    "unreachable": UNREACHABLE,
    "unusable_input": USAGE,
    "invalid_settings": USAGE,
    "usage": USAGE,
    "data_dir_in_use": USAGE,
    "data_dir_unusable": USAGE,
}


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    root = argparse.ArgumentParser(
        prog="gonogo",
        description="Asynchronous visual inspection: a batch of part pictures in, a verdict for each out.",
        epilog="Exit status: 0 done; 1 refused; 2 usage; 3 no service; 4 items failed; 130 interrupted.",
    )
    commands = root.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for group in (up, submit, batches, models, keys, doctor, backup, demo, programs):
        group.add_parser(commands)
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; errors are one line on stderr, never a traceback."""
    argv = sys.argv[1:] if argv is None else list(argv)
    if argv and argv[0] in programs.TRAINING:
        programs.become(argv)
    arguments = parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except GonogoError as error:
        print(f"gonogo: {error}", file=sys.stderr)
        for entry in getattr(error, "errors", [])[:20]:
            print(f"  {_entry(entry)}", file=sys.stderr)
        return _STATUS.get(error.code, REFUSED)
    except TimeoutError as error:
        print(f"gonogo: {error}", file=sys.stderr)
        return INCOMPLETE
    except OSError as error:  # no room, no permission: the system says what and where
        if isinstance(error, BrokenPipeError):  # the reader of our output went away
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        print(f"gonogo: {error}", file=sys.stderr)
        return REFUSED
    except KeyboardInterrupt:
        return INTERRUPTED


def _entry(entry: dict[str, object]) -> str:
    where = [f"{name} {entry[name]}" for name in ("filename", "line", "pointer") if entry.get(name)]
    return ": ".join([", ".join(where) or "error", str(entry.get("detail") or entry.get("code") or "")])


if __name__ == "__main__":
    sys.exit(main())
