"""The purchase from end to end against a running daemon: a clerk, a person's phone, a backend, an auditor.

Called by `run`. Only the phones are processes of the `paraphe` command.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from auditor import Auditor
from auth import Account, Terminal, read_key
from backend import ACTION, Backend, Basket
from clerk import Clerk
from connection import Daemon
from evidence import Evidence, verify_evidence
from jose import Statement, bare_jwk
from phone import Phone
from refusals import check_refusals
from report import Report
from stubs import Stubs
from verify import Expected, verify_assertion


@dataclass(frozen=True)
class Cast:
    """Who takes part, and the keys that they hold."""

    daemon: Daemon
    operator: str
    terminal_key: Path
    clerk_phone: Phone
    person_phone: Phone
    relying_party: str
    backend_key: Path
    auditor_id: str
    auditor_key: Path
    root: Path


@dataclass(frozen=True)
class Purchase:
    """What the backend knows of a confirmed purchase; `asked` is the RequestResponse."""

    basket: Basket
    subject: str
    asked: Any
    assertion: str


def play(report: Report, stubs: Stubs, cast: Cast) -> None:
    """Enrols, buys, verifies."""
    clerk = Clerk(report, cast.daemon, stubs, Terminal(read_key(cast.terminal_key), cast.daemon.issuer))
    clerk.log_in(cast.operator, cast.clerk_phone)
    activation_id = enrol(report, clerk, cast)
    purchase = buy(report, stubs, cast)
    assertion = verify_purchase(report, cast, purchase)
    evidence = verify_statements(report, stubs, cast, purchase, assertion)
    compare(report, evidence, activation_id, purchase)
    clerk.log_out()


def enrol(report: Report, clerk: Clerk, cast: Cast) -> str:
    """From the passport to the active phone; the activation id."""
    issued = clerk.enrol(cast.clerk_phone)
    digits = cast.person_phone.activate(issued.uri)
    shown = len(digits) == 6 and digits.isdecimal()
    report.require("phone.activate", shown, "the phone shows six digits", f"the phone shows {digits!r}.")
    clerk.confirm(issued.activation_id, digits)
    return str(issued.activation_id)


def buy(report: Report, stubs: Stubs, cast: Cast) -> Purchase:
    """From the basket to the assertion."""
    account = Account(cast.relying_party, read_key(cast.backend_key), cast.daemon.issuer)
    backend = Backend(report, cast.daemon, stubs, account)
    basket, subject = Basket(), backend.check()
    verdicts = backend.watch()
    asked = backend.request(subject, basket)
    cast.person_phone.approve("phone.approve", asked.challenge_id, asked.match_code)
    report.held("phone.approve", "the page's code and the PIN were typed")
    assertion = backend.await_assertion(verdicts, asked.challenge_id)
    return Purchase(basket, subject, asked, assertion)


def verify_purchase(report: Report, cast: Cast, purchase: Purchase) -> Statement:
    """The assertion, as the backend verifies it, and what it must not accept."""
    jwks = cast.daemon.jwks()
    expected = Expected(cast.daemon.issuer, cast.relying_party, int(time.time()))
    assertion = verify_assertion(report, purchase.assertion, jwks, expected)
    said = assertion.claims
    report.require(
        "assertion.purchase",
        (said["txn"], said["sub"]) == (purchase.asked.challenge_id, purchase.subject),
        f"txn {said['txn']}, sub {said['sub']}",
        f"it is about {said['txn']} of {said['sub']}.",
    )
    details = [(detail["type"], detail["locale"], detail["parameters"]) for detail in said["authorization_details"]]
    report.require(
        "assertion.details",
        details == [(ACTION, "en", purchase.basket.approved())],
        f"{ACTION}: {purchase.basket.title}, {purchase.basket.price_cents} cents",
        f"authorization_details say {details}.",
    )
    check_refusals(report, purchase.assertion, jwks, expected)
    return assertion


def verify_statements(report: Report, stubs: Stubs, cast: Cast, purchase: Purchase, assertion: Statement) -> Evidence:
    """The approval behind the assertion, as an auditor verifies it."""
    root = bare_jwk("auditor.root", json.loads(cast.root.read_text()))
    account = Account(cast.auditor_id, read_key(cast.auditor_key), cast.daemon.issuer)
    auditor = Auditor(report, cast.daemon, stubs, account, root)
    bundle = auditor.read(purchase.asked.challenge_id, purchase.assertion)
    return verify_evidence(report, bundle, assertion, cast.daemon.issuer)


def compare(report: Report, evidence: Evidence, activation_id: str, purchase: Purchase) -> None:
    """The statements against what clerk and backend saw themselves."""
    report.require(
        "story.activation",
        evidence.phone.claims["activation_id"] == activation_id,
        f"the approving phone is the one enrolled by {activation_id}",
        f"the approving phone was enrolled by {evidence.phone.claims['activation_id']}.",
    )
    report.require(
        "story.match_code",
        evidence.approval.claims["match_code"] == purchase.asked.match_code,
        "the approval carries the code of the page",
        "the approval carries another code than the page showed.",
    )
    shown = [row["value"] for row in evidence.challenge.claims["display"]["rows"]]
    bought = (purchase.basket.title, purchase.basket.provider, purchase.basket.reference)
    report.require(
        "story.document",
        all(text in shown for text in bought),
        "title, provider and reference were shown as bought",
        f"shown was {shown}.",
    )
