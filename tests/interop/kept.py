"""Verifies again what `paraphe demo --keep DIR` left behind, without daemon and network.

Called by `run`. The assertion lives for a minute, so it is verified at the time when the demo verified it, and the
table says how old it is now.
"""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from evidence import Bundle, SignedEnrolment, verify_evidence
from jose import bare_jwk
from refusals import check_refusals, must_fail
from report import CheckFailed, Report
from verify import Expected, verify_assertion


def verify_kept(report: Report, folder: Path) -> None:
    """Verifies assertion and evidence in `folder`."""
    summary, jwks = _read_json(folder / "summary.json"), _read_json(folder / "jwks.json")
    root = bare_jwk("kept.root", _read_json(folder / "root.jwk.json"))
    assertion_text, bundle = _read_statements(folder / "statements", root)
    missing = {"issuer", "audience", "subject", "challenge_id", "verified_at"} - set(summary)
    if missing:
        raise CheckFailed("kept.summary", f"summary.json lacks {', '.join(sorted(missing))}.")
    expected = Expected(summary["issuer"], summary["audience"], int(summary["verified_at"]))
    assertion = verify_assertion(report, assertion_text, jwks, expected)
    claims = assertion.claims
    report.require(
        "kept.summary",
        (claims["sub"], claims["txn"]) == (summary["subject"], summary["challenge_id"]),
        f"txn {claims['txn']}, sub {claims['sub']}",
        f"the assertion is about {claims['txn']} of {claims['sub']}, the summary about another purchase.",
    )
    _report_age(report, assertion_text, jwks, replace(expected, at=int(time.time())), claims["exp"])
    verify_evidence(report, bundle, assertion, expected.issuer)
    check_refusals(report, assertion_text, jwks, expected)


def _report_age(report: Report, assertion: str, jwks: dict[str, Any], now: Expected, expires_at: int) -> None:
    """What the assertion is worth to a backend by now."""
    name, age_s = "assertion.expiry_now", now.at - expires_at
    if age_s < 0:
        report.note(name, f"not expired yet: good for {-age_s} s more")
        return
    must_fail(
        report,
        name,
        f"EXPIRED {age_s} s ago, as kept evidence is; a backend would have it",
        "assertion.expiry",
        lambda: verify_assertion(Report(None), assertion, jwks, now),
    )


def _read_statements(folder: Path, root: dict[str, Any]) -> tuple[str, Bundle]:
    count = len(list(folder.glob("key-set-*.jws")))
    key_sets = [_read(folder / f"key-set-{version}.jws") for version in range(1, count + 1)]
    challenge, approval = _read(folder / "challenge.jws"), _read(folder / "approval.jws")
    signed = [_read(folder / f"{name}.jws") for name in ("enrolment-challenge", "enrolment", "clerk-activation")]
    activation = _read(folder / "activation.jws")
    bundle = Bundle(challenge, approval, activation, key_sets, root, SignedEnrolment(*signed))
    return _read(folder / "assertion.jwt"), bundle


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError as error:
        raise CheckFailed("kept.files", f"{path} cannot be read: {error.strerror}") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(_read(path)))
    except ValueError as error:
        raise CheckFailed("kept.files", f"{path} is not a JSON object: {error}") from error
