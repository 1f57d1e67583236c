"""`gonogo doctor`: one line for each part of a setup, and how to mend what is wrong."""

from dataclasses import asdict

import click

from shared.cli import service
from shared.cli.output import print_json, printable


@click.command(
    short_help="find what is wrong with a setup",
    epilog="Exit status: 0 nothing wrong; 1 at least one problem.",
)
@service.options
@service.as_json
@click.option("--repair", is_flag=True, help="Mend what is safe to mend, and say what that was.")
@click.option("--dry-run", is_flag=True, help="With --repair: say what would be mended.")
def doctor(where: service.Where, as_json: bool, repair: bool, dry_run: bool) -> int:
    """Look at packages, settings, data dir, database, broker, model and the running service."""
    from shared.cli.doctor import look
    from shared.cli.doctor import repair as repairs

    findings = list(look.look_at_all(where))
    if repair or dry_run:
        findings += repairs.repair(where.data_dir, dry_run=dry_run)
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            mend = f"  -> {printable(finding.mend)}" if finding.mend else ""
            print(f"{finding.state:8} {finding.name:12} {printable(finding.detail)}{mend}")
    return 1 if any(finding.state == "problem" for finding in findings) else 0
