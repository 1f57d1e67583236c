"""`gonogo doctor`: what is wrong with this setup, a line for each thing looked at, and how to mend it."""

import argparse
from dataclasses import asdict

from shared.cli import service
from shared.cli.output import print_json, printable


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    parser = commands.add_parser(
        "doctor",
        help="find what is wrong with a setup",
        description="Look at packages, settings, data dir, database, broker, model and the running service.",
        epilog="Exit status: 0 nothing wrong; 1 at least one problem.",
    )
    service.add_options(parser)
    group = parser.add_argument_group("repair")
    group.add_argument(
        "--repair", action="store_true", help="mend what is safe to mend, and say what that was"
    )
    group.add_argument("--dry-run", action="store_true", help="with --repair: say what would be mended")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    from shared.cli.doctor.checks import look_at_all

    findings = list(look_at_all(arguments))
    if arguments.repair or arguments.dry_run:
        from shared.cli.doctor.repair import repair

        findings += repair(arguments)
    if arguments.json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            mend = f"  -> {printable(finding.mend)}" if finding.mend else ""
            print(f"{finding.state:8} {finding.name:12} {printable(finding.detail)}{mend}")
    return 1 if any(finding.state == "problem" for finding in findings) else 0
