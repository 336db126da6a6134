"""An auditor's program: a service account that reads the statements behind a verdict.

Called by `story`.
"""

from __future__ import annotations

import json
from typing import Any

from auth import Account
from connection import DEADLINE_S, Daemon, calling
from evidence import Bundle
from jose import bare_jwk
from report import Report
from stubs import Stubs


def read_statements(
    report: Report, daemon: Daemon, stubs: Stubs, account: Account, root: dict[str, Any], challenge_id: str, assertion: str
) -> Bundle:
    """The statements behind `assertion`; the trust anchor is `root`, not what the daemon says."""
    name, api = "auditor.statements", stubs.admin.messages
    with daemon.channel(account) as channel, calling(name):
        request = api.GetStatementsRequest(challenge_id=challenge_id)
        found = stubs.admin.client(channel).GetStatements(request, timeout=DEADLINE_S)
    report.require(
        name,
        found.assertion == assertion and found.refusal == "",
        f"assertion, challenge, approval, activation, {len(found.key_sets)} key set(s)",
        "the daemon shows the auditor another assertion than the backend, or a refusal.",
    )
    said = bare_jwk("auditor.root", json.loads(found.root_jwk))
    report.require("auditor.root", said == root, "the root key that init wrote", "the daemon names another root key.")
    return Bundle(found.challenge, found.approval, found.activation, list(found.key_sets), root)
