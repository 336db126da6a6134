"""The approval behind an assertion: root key, key sets, challenge, phone, approval. docs/protocol.md section 3.

Called by `story`, `kept` and `selftest`. Invariant: every link is a signature, or a hash over the exact bytes of the
link before, so none can be exchanged alone.
"""

from __future__ import annotations

from dataclasses import dataclass

from joserfc.jwk import ECKey

from jose import (
    ACTIVATION,
    ACTIVATION_KEY,
    APPROVAL,
    CHALLENGE,
    ENROLMENT,
    KEY_SET,
    Claims,
    Statement,
    parse,
    public_key,
    transcript_sha256,
    unverified_kid,
    verify_statement,
)
from report import CheckFailed, Report

Keys = dict[str, ECKey]


@dataclass(frozen=True)
class SignedEnrolment:
    """A clerk's signature under an enrolment: the challenge shown, the statement, the activation of the clerk's phone."""

    challenge: str
    enrolment: str
    activation: str


@dataclass(frozen=True)
class Bundle:
    """Statements as an auditor reads them, each a compact JWS; `root` is the root key's JWK."""

    challenge: str
    approval: str
    activation: str
    key_sets: list[str]
    root: Claims
    enrolment: SignedEnrolment


@dataclass(frozen=True)
class Evidence:
    """The verified statements; `phone` is the inner one of the activation."""

    challenge: Statement
    phone: Statement
    approval: Statement


def verify_evidence(report: Report, bundle: Bundle, assertion: Statement, issuer: str) -> Evidence:
    """Verifies the chain from the root key down to the approval that the assertion names."""
    challenge_keys, assertion_keys = _walk_key_sets(report, bundle, issuer)
    report.require(
        "assertion.key_set",
        assertion.kid in assertion_keys and assertion.kid not in challenge_keys,
        "the assertion key is one of the issuer's, for assertions only",
        "no key set names the assertion's key for assertions.",
    )
    challenge = _verify_challenge(report, "challenge.signature", bundle.challenge, challenge_keys, issuer)
    _check_challenge(report, challenge, assertion)
    phone = _verify_activation(report, "activation.signature", bundle.activation, issuer)
    _check_phone(report, phone, challenge, assertion)
    approval_key = public_key("approval.signature", phone.claims["approval_key"])
    approval = verify_statement("approval.signature", bundle.approval, APPROVAL, approval_key, issuer)
    report.held("approval.signature", f"ES256 by the phone's approval key {approval.kid}")
    _check_approval(report, approval, challenge, phone, assertion)
    _verify_enrolment(report, bundle.enrolment, challenge_keys, phone, assertion, issuer)
    return Evidence(challenge, phone, approval)


def _walk_key_sets(report: Report, bundle: Bundle, issuer: str) -> tuple[Keys, Keys]:
    """Every challenge key and every assertion key that some version had active."""
    root = public_key("key_sets", bundle.root)
    challenge_keys: Keys = {}
    assertion_keys: Keys = {}
    signers: Keys = {}
    for version, compact in enumerate(bundle.key_sets, start=1):
        signers = {root.thumbprint(): root, **signers}
        signer = signers.get(unverified_kid("key_sets", compact))
        if signer is None:
            raise CheckFailed("key_sets", f"version {version} is signed by a key that may not sign it.")
        key_set = verify_statement("key_sets", compact, KEY_SET, signer, issuer).claims
        if key_set["version"] != version:
            raise CheckFailed("key_sets", f"version {key_set['version']} where {version} was expected.")
        signers = _active_keys(key_set, "challenge")
        challenge_keys |= signers
        assertion_keys |= _active_keys(key_set, "assertion")
    report.require(
        "key_sets",
        bool(bundle.key_sets),
        f"versions 1 to {len(bundle.key_sets)} from root key {root.thumbprint()}",
        "there is no key set.",
    )
    return challenge_keys, assertion_keys


def _active_keys(key_set: Claims, use: str) -> Keys:
    keys: Keys = {}
    for entry in key_set["keys"]:
        key = public_key("key_sets", entry["jwk"])
        if entry["kid"] != key.thumbprint():
            raise CheckFailed("key_sets", f"{entry['kid']} is not the thumbprint of its key.")
        if (entry["use"], entry["state"]) == (use, "active"):
            keys[key.thumbprint()] = key
    return keys


def _verify_challenge(report: Report, name: str, compact: str, keys: Keys, issuer: str) -> Statement:
    key = keys.get(unverified_kid(name, compact))
    if key is None:
        raise CheckFailed(name, "no key set had the challenge's key active for challenges.")
    challenge = verify_statement(name, compact, CHALLENGE, key, issuer)
    report.held(name, f"ES256 by key {challenge.kid} of the key sets")
    return challenge


def _check_challenge(report: Report, challenge: Statement, assertion: Statement) -> None:
    claims, said = challenge.claims, assertion.claims
    bound = claims["challenge_id"] == said["txn"] and challenge.sha256 == said["challenge_sha256"]
    report.require(
        "challenge.binding", bound, f"assertion → {said['txn']}, {challenge.sha256}", "the assertion is about another."
    )
    asked_by = claims["relying_party"]
    report.require(
        "challenge.relying_party",
        asked_by["id"] == said["aud"],
        f"asked by {asked_by['name']}",
        f"{asked_by['id']} asked, the assertion is for {said['aud']}.",
    )
    report.require(
        "challenge.display",
        [_shown(claims)] == [_approved(detail) for detail in said["authorization_details"]],
        f"shown: {claims['display']['title']}, {len(claims['display']['rows'])} rows",
        "the assertion speaks of another document than the one shown.",
    )
    report.require(
        "challenge.time",
        claims["iat"] <= said["auth_time"] < claims["exp"],
        "approved within the challenge's life",
        f"approved at {said['auth_time']}, outside {claims['iat']} to {claims['exp']}.",
    )


def _shown(challenge: Claims) -> Claims:
    display = challenge["display"]
    rows = [text for row in display["rows"] for text in (row["label"], row["value"])]
    digest = transcript_sha256("paraphe/v1/display", display["locale"], display["title"], *rows)
    detail = {"type": challenge["action"], "locale": display["locale"], "title": display["title"]}
    return {**detail, "display_sha256": digest}


def _approved(detail: Claims) -> Claims:
    return {name: detail.get(name) for name in ("type", "locale", "title", "display_sha256")}


def _verify_activation(report: Report, name: str, compact: str, issuer: str) -> Statement:
    """Possession key around approval key; each statement names the key that must have signed it."""
    claimed = parse(name, str(parse(name, compact)[1].get("inner")))[1]
    possession_key = public_key(name, claimed.get("possession_key"))
    outer = verify_statement(name, compact, ACTIVATION, possession_key, issuer)
    approval_key = public_key(name, claimed.get("approval_key"))
    inner = verify_statement(name, outer.claims["inner"], ACTIVATION_KEY, approval_key, issuer)
    if outer.kid == inner.kid:
        raise CheckFailed(name, "possession key and approval key are the same.")
    report.held(name, f"possession key {outer.kid} around approval key {inner.kid}")
    return inner


def _check_phone(report: Report, phone: Statement, challenge: Statement, assertion: Statement) -> None:
    device_id = phone.claims["device_id"]
    handle = transcript_sha256("paraphe/v1/device-handle", device_id, challenge.claims["challenge_id"])
    report.require(
        "device.handle",
        challenge.claims["device_handle"] == handle,
        f"the challenge was for {device_id}",
        "the challenge was for another phone.",
    )
    keystore = {"software": "swk", "hardware": "hwk"}.get(phone.claims["keystore"])
    report.require(
        "device.keystore",
        keystore in assertion.claims["amr"] or keystore == "hwk",
        f"{phone.claims['platform']}, {phone.claims['keystore']} keystore",
        f"the phone has a {phone.claims['keystore']} keystore, the assertion says {assertion.claims['amr']}.",
    )


def _check_approval(
    report: Report, approval: Statement, challenge: Statement, phone: Statement, assertion: Statement
) -> None:
    claims = approval.claims
    report.require(
        "approval.binding",
        claims["challenge_sha256"] == challenge.sha256 and claims["device_id"] == phone.claims["device_id"],
        f"approval → challenge {challenge.sha256}",
        "it approves another challenge, or another phone gave it.",
    )
    report.require(
        "approval.decision",
        claims["decision"] == "approve" and claims["epoch"] >= 1 and claims["evaluation"] >= 1,
        f"approve, PIN epoch {claims['epoch']}, evaluation {claims['evaluation']}",
        f"decision {claims['decision']}, epoch {claims['epoch']}, evaluation {claims['evaluation']}.",
    )
    rule, typed = challenge.claims["match"], claims["match_code"]
    digits = rule["digits"] if rule["mode"] == "enter_code" else 0
    report.require(
        "approval.match_code",
        len(typed) == digits and all(digit in "0123456789" for digit in typed),
        f"{digits} digits of the page were typed",
        f"{rule['mode']} with {rule['digits']} digits, but {len(typed)} were typed.",
    )
    report.require(
        "assertion.approval",
        assertion.claims["approval_sha256"] == approval.sha256,
        f"assertion → approval {approval.sha256}",
        "the assertion names another approval.",
    )


def _verify_enrolment(
    report: Report, signed: SignedEnrolment, keys: Keys, phone: Statement, assertion: Statement, issuer: str
) -> None:
    """A clerk's own phone stood for this activation, at the level that the assertion claims."""
    clerk = _verify_activation(report, "enrolment.clerk", signed.activation, issuer).claims
    challenge = _verify_challenge(report, "enrolment.challenge", signed.challenge, keys, issuer)
    handle = transcript_sha256("paraphe/v1/device-handle", clerk["device_id"], challenge.claims["challenge_id"])
    report.require(
        "enrolment.handle",
        challenge.claims["device_handle"] == handle and clerk["device_id"] != phone.claims["device_id"],
        f"the clerk was asked on {clerk['device_id']}",
        "the clerk was asked on another phone, or the phone enrolled itself.",
    )
    asked = (challenge.claims["relying_party"]["id"], challenge.claims["action"])
    report.require(
        "enrolment.challenge",
        asked == ("paraphe-desk", "paraphe.enrol"),
        f"asked at the desk: {challenge.claims['display']['title']}",
        f"{asked} asked for something else than an enrolment.",
    )
    key = public_key("enrolment.signature", clerk["approval_key"])
    enrolment = verify_statement("enrolment.signature", signed.enrolment, ENROLMENT, key, issuer)
    report.held("enrolment.signature", f"ES256 by the clerk's approval key {enrolment.kid}")
    claims = enrolment.claims
    said = (claims["challenge_sha256"], claims["device_id"], claims["enrolled"])
    report.require(
        "enrolment.binding",
        said == (challenge.sha256, clerk["device_id"], challenge.claims.get("enrolment")),
        f"enrolment → challenge {challenge.sha256}",
        "the clerk signed something else than was shown.",
    )
    enrolled = claims["enrolled"]
    report.require(
        "enrolment.activation",
        # A phone whose key nobody attests may be given less than the clerk stood for.
        enrolled["activation_id"] == phone.claims["activation_id"] and assertion.claims["acr"] <= enrolled["acr"],
        f"{enrolled['activation_id']}, {enrolled['acr']} by {enrolled['channel']}",
        f"the clerk stood for {enrolled['activation_id']} at {enrolled['acr']}.",
    )
