"""An auditor's program: a service account that reads the statements behind a verdict.

Called by `story`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from auth import Account
from connection import DEADLINE_S, Daemon, calling
from evidence import Bundle, SignedEnrolment
from jose import Claims, bare_jwk
from report import Report
from stubs import Stubs


@dataclass(frozen=True)
class Auditor:
    """The service account; `root` is its trust anchor, whatever the daemon says."""

    report: Report
    daemon: Daemon
    stubs: Stubs
    account: Account
    root: Claims

    def read(self, challenge_id: str, assertion: str) -> Bundle:
        """The statements behind `assertion`."""
        name, api = "auditor.statements", self.stubs.admin.messages
        with self.daemon.channel(self.account) as channel, calling(name):
            request = api.GetStatementsRequest(challenge_id=challenge_id)
            found = self.stubs.admin.client(channel).GetStatements(request, timeout=DEADLINE_S)
        self.report.require(
            name,
            found.assertion == assertion and found.refusal == "",
            f"assertion, challenge, approval, activation, {len(found.key_sets)} key set(s)",
            "the daemon shows the auditor another assertion than the backend, or a refusal.",
        )
        said = bare_jwk("auditor.root", json.loads(found.root_jwk))
        why = "the daemon names another root key."
        self.report.require("auditor.root", said == self.root, "the root key that init wrote", why)
        signed = found.enrolment
        enrolment = SignedEnrolment(signed.challenge, signed.enrolment, signed.activation)
        return Bundle(found.challenge, found.approval, found.activation, list(found.key_sets), self.root, enrolment)
