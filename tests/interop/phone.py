"""A person's phone: the software phone of the `paraphe` command, one process per act.

Called by `story`. Invariant: secrets travel by standard input or by file, never in an argument.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from connection import Daemon
from report import CheckFailed

PATIENCE_S = 60


@dataclass(frozen=True)
class Phone:
    """The phone in the folder `home`; `pin_file` holds what its owner types."""

    paraphe: Path
    home: Path
    pin_file: Path
    daemon: Daemon

    def activate(self, uri: str) -> str:
        """Scans the QR code, chooses the PIN; the six digits on its screen."""
        output = self._run("phone.activate", ["activate", "--uri-file", "-"], uri)
        digits = _find(_objects(output), "six_digits")
        if not isinstance(digits, str):
            raise CheckFailed("phone.activate", f"it shows no six digits: {output.strip()}")
        return digits.replace(" ", "")

    def approve(self, name: str, challenge_id: str, match_code: str) -> None:
        """Types the page's code and the PIN; `name` is the check that this is part of."""
        self._run(name, ["approve", challenge_id, "--match-code-file", "-"], match_code)

    def _run(self, name: str, act: list[str], typed: str) -> str:
        daemon = self.daemon
        where = ["--server", daemon.server, "--ca", str(daemon.ca_file), "--issuer", daemon.issuer]
        command = [str(self.paraphe), "--json", *where, "--home", str(self.home), "phone", *act]
        command += ["--pin-file", str(self.pin_file)]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("PARAPHE_")}
        try:
            done = subprocess.run(
                command,
                input=typed + "\n",
                env=environment,
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CheckFailed(name, f"the phone's process failed: {error}") from error
        if done.returncode != 0:
            raise CheckFailed(name, f"the phone ended with status {done.returncode}: {done.stderr.strip()}")
        return done.stdout


def _objects(output: str) -> list[object]:
    """The JSON values of `output`, one after the other."""
    decoder, rest, values = json.JSONDecoder(), output.lstrip(), []
    while rest:
        try:
            value, end = decoder.raw_decode(rest)
        except ValueError as error:
            raise CheckFailed("phone.activate", f"its output is not JSON: {rest.strip()}") from error
        values.append(value)
        rest = rest[end:].lstrip()
    return values


def _find(value: object, key: str) -> object:
    """The first member `key`, however deep."""
    if isinstance(value, dict) and key in value:
        return value[key]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return next((found for part in inner if (found := _find(part, key)) is not None), None)
