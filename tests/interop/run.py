"""Interop clients of Paraphe: a clerk, a backend and an auditor in Python, from the published `.proto` files alone.

    run.py story …        the purchase against a running daemon
    run.py kept --dir D   verifies what `paraphe demo --keep D` left behind
    run.py selftest       the verifier against self-made statements

Prints a line for every check that held. Exit status: 0 all held; 1 one did not, and standard error names it; 2 usage.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import kept
import selftest
import stubs
from connection import Daemon
from phone import Phone
from report import CheckFailed, Report
from story import Cast, play

PROTO = Path(__file__).resolve().parents[2] / "proto"
STORY_PATHS = {
    "ca": "certificate authority of the daemon's TLS certificate, PEM",
    "paraphe": "the paraphe command, for the phones",
    "terminal-key": "private key of a registered terminal, PKCS#8 PEM",
    "clerk-phone-home": "folder of the clerk's phone, activated",
    "clerk-pin-file": "the clerk's PIN",
    "person-phone-home": "folder of the person's phone, to be activated",
    "person-pin-file": "the PIN that the person chooses",
    "backend-key": "private key of the relying party, PKCS#8 PEM",
    "auditor-key": "private key of the auditor's service account, PKCS#8 PEM",
    "root": "the root public key that `paraphed init` wrote, JWK",
}
STORY_NAMES = {
    "server": "the daemon, e.g. https://127.0.0.1:8443",
    "operator": "name of an operator with the role CLERK",
    "relying-party": "id of a relying party that may identify people and ask for course.buy",
    "auditor-id": "service account with the role AUDITOR, opr_…",
}


def main() -> int:
    """Runs what the command line names; the exit status."""
    arguments = parser().parse_args()
    report = Report(sys.stdout)
    try:
        COMMANDS[arguments.command](report, arguments)
    except CheckFailed as failure:
        print(f"interop: {failure}", file=sys.stderr)
        return 1
    print(f"interop: {report.count} checks held")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    whole = argparse.ArgumentParser(prog="run.py", description="Interop clients of Paraphe")
    commands = whole.add_subparsers(dest="command", required=True)
    story = commands.add_parser("story", help="the purchase against a running daemon")
    for name, what in STORY_NAMES.items():
        story.add_argument(f"--{name}", required=True, help=what)
    for name, what in STORY_PATHS.items():
        story.add_argument(f"--{name}", required=True, type=Path, help=what)
    story.add_argument("--issuer", help="issuer URL, where it is not the server's")
    story.add_argument("--proto", type=Path, default=PROTO, help="folder of paraphe/v1/*.proto")
    keeping = commands.add_parser("kept", help="verify what `paraphe demo --keep DIR` left behind")
    keeping.add_argument("--dir", required=True, type=Path)
    commands.add_parser("selftest", help="the verifier against self-made statements")
    return whole


def run_story(report: Report, arguments: argparse.Namespace) -> None:
    """Generates the stubs into a folder of their own, then plays."""
    daemon = Daemon(arguments.server.rstrip("/"), arguments.ca, arguments.issuer or arguments.server.rstrip("/"))
    cast = Cast(
        daemon=daemon,
        operator=arguments.operator,
        terminal_key=arguments.terminal_key,
        clerk_phone=Phone(arguments.paraphe, arguments.clerk_phone_home, arguments.clerk_pin_file, daemon),
        person_phone=Phone(arguments.paraphe, arguments.person_phone_home, arguments.person_pin_file, daemon),
        relying_party=arguments.relying_party,
        backend_key=arguments.backend_key,
        auditor_id=arguments.auditor_id,
        auditor_key=arguments.auditor_key,
        root=arguments.root,
    )
    with tempfile.TemporaryDirectory(prefix="paraphe-stubs-") as out:
        play(report, stubs.generate(report, arguments.proto, Path(out)), cast)


COMMANDS: dict[str, Callable[[Report, argparse.Namespace], None]] = {
    "story": run_story,
    "kept": lambda report, arguments: kept.verify_kept(report, arguments.dir),
    "selftest": lambda report, _: selftest.test(report),
}

if __name__ == "__main__":
    sys.exit(main())
