"""A purchase with self-made keys: the statements of one confirmed purchase, before and after signing.

Called by `selftest`, which alters one thing at a time and looks for the check that notices.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey
from joserfc.util import urlsafe_b64decode

from evidence import Bundle, SignedEnrolment
from jose import (
    ACTIVATION,
    ACTIVATION_KEY,
    APPROVAL,
    ASSERTION,
    CHALLENGE,
    ENROLMENT,
    KEY_SET,
    P256_ORDER,
    Claims,
    base64url,
    sha256,
    transcript_sha256,
)

ISSUER, AUDIENCE, NOW = "https://issuer.example", "course-marketplace", 1_800_000_000
CHALLENGE_ID, DEVICE_ID = "chl_" + "a" * 26, "dev_" + "a" * 26
ENROL_ID, CLERK_ID = "chl_" + "c" * 26, "dev_" + "c" * 26
SOME_HASH = sha256(b"something")
ROLES = ("root", "challenge", "assertion", "possession", "approval", "clerk_possession", "clerk_approval", "stranger")


def sign(typ: str, claims: Claims, key: ECKey, high_s: bool = False) -> str:
    """A compact JWS with the header of the protocol and the `s` that was asked for."""
    compact = jwt.encode({"alg": "ES256", "typ": typ, "kid": key.thumbprint()}, claims, key, algorithms=["ES256"])
    signed, _, signature = compact.rpartition(".")
    raw = urlsafe_b64decode(signature.encode())
    s = int.from_bytes(raw[32:], "big")
    if (s > P256_ORDER // 2) != high_s:
        s = P256_ORDER - s
    return f"{signed}.{base64url(raw[:32] + s.to_bytes(32, 'big'))}"


def jwk_of(key: ECKey) -> Claims:
    """Exactly `kty`, `crv`, `x`, `y`."""
    public: dict[str, Any] = dict(key.as_dict(private=False))
    return {member: public[member] for member in ("kty", "crv", "x", "y")}


@dataclass
class SelfMade:
    """Claims to alter, then `seal` binds and signs them. `signers` says whose key signs what."""

    keys: dict[str, ECKey] = field(default_factory=lambda: {role: ECKey.generate_key("P-256") for role in ROLES})
    signers: dict[str, str] = field(default_factory=dict)
    high_s: set[str] = field(default_factory=set)
    claims: dict[str, Claims] = field(default_factory=dict)
    overrides: dict[str, Claims] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.signers = {
            "key_set": "root",
            "later_key_set": "challenge",
            "challenge": "challenge",
            "inner": "approval",
            "outer": "possession",
            "approval": "approval",
            "assertion": "assertion",
            "enrol_challenge": "challenge",
            "clerk_inner": "clerk_approval",
            "clerk_outer": "clerk_possession",
            "enrolment": "clerk_approval",
        }
        self.claims = {
            "key_set": {"iss": ISSUER, "version": 1, "keys": self._entries(), "iat": NOW - 9000},
            "later_key_set": {"iss": ISSUER, "version": 2, "keys": self._entries(), "iat": NOW - 900},
            "challenge": _challenge(),
            "inner": self._inner(DEVICE_ID, "a", "possession", "approval"),
            "outer": {"iss": ISSUER},
            "enrol_challenge": {**_challenge(), **_enrol_challenge()},
            "clerk_inner": self._inner(CLERK_ID, "c", "clerk_possession", "clerk_approval"),
            "clerk_outer": {"iss": ISSUER},
            "enrolment": {"iss": ISSUER, "device_id": CLERK_ID, "epoch": 1, "evaluation": 4, "enrolled": _enrolled()},
            "approval": _approval(),
            "assertion": _assertion(),
        }

    def _entries(self) -> list[Claims]:
        return [
            {"jwk": jwk_of(self.keys[use]), "kid": self.keys[use].thumbprint(), "use": use, "state": "active"}
            for use in ("challenge", "assertion")
        ]

    def _inner(self, device_id: str, letter: str, possession: str, approval: str) -> Claims:
        return {
            "iss": ISSUER,
            "activation_id": "act_" + letter * 26,
            "device_id": device_id,
            "nonce": SOME_HASH,
            "offer_sha256": SOME_HASH,
            "platform": "test",
            "keystore": "software",
            "possession_key": jwk_of(self.keys[possession]),
            "approval_key": jwk_of(self.keys[approval]),
        }

    def jwks(self) -> Claims:
        """What the daemon would publish."""
        key = self.keys["assertion"]
        return {"keys": [{**jwk_of(key), "kid": key.thumbprint(), "use": "sig", "alg": "ES256"}]}

    def seal(self) -> tuple[str, Bundle]:
        """Assertion and evidence; `overrides` are claims that replace what sealing would compute."""
        claims = copy.deepcopy(self.claims)
        challenge = self._sign("challenge", CHALLENGE, claims)
        claims["approval"]["challenge_sha256"] = sha256(challenge.encode())
        approval = self._sign("approval", APPROVAL, claims)
        claims["outer"]["inner"] = self._sign("inner", ACTIVATION_KEY, claims)
        hashes = {"challenge_sha256": sha256(challenge.encode()), "approval_sha256": sha256(approval.encode())}
        claims["assertion"] = {**claims["assertion"], **hashes}
        key_sets = [self._sign(name, KEY_SET, claims) for name in ("key_set", "later_key_set")]
        activation = self._sign("outer", ACTIVATION, claims)
        enrolment = self._seal_enrolment(claims)
        bundle = Bundle(challenge, approval, activation, key_sets, jwk_of(self.keys["root"]), enrolment)
        return self._sign("assertion", ASSERTION, claims), bundle

    def _seal_enrolment(self, claims: dict[str, Claims]) -> SignedEnrolment:
        challenge = self._sign("enrol_challenge", CHALLENGE, claims)
        claims["enrolment"]["challenge_sha256"] = sha256(challenge.encode())
        claims["clerk_outer"]["inner"] = self._sign("clerk_inner", ACTIVATION_KEY, claims)
        activation = self._sign("clerk_outer", ACTIVATION, claims)
        return SignedEnrolment(challenge, self._sign("enrolment", ENROLMENT, claims), activation)

    def _sign(self, name: str, typ: str, claims: dict[str, Claims]) -> str:
        said = {**claims[name], **self.overrides.get(name, {})}
        return sign(typ, said, self.keys[self.signers[name]], name in self.high_s)


def _challenge() -> Claims:
    return {
        "iss": ISSUER,
        "challenge_id": CHALLENGE_ID,
        "device_handle": transcript_sha256("paraphe/v1/device-handle", DEVICE_ID, CHALLENGE_ID),
        "relying_party": {"id": AUDIENCE, "name": "Course marketplace"},
        "action": "course.buy",
        "display": {"locale": "en", "title": "Buy a course", "rows": [{"label": "Price", "value": "€1,499.00"}]},
        "match": {"mode": "enter_code", "digits": 6},
        "nonce": SOME_HASH,
        "iat": NOW - 30,
        "exp": NOW + 270,
    }


def _enrolled() -> Claims:
    digests = {"person_sha256": SOME_HASH, "evidence_sha256": SOME_HASH}
    return {"operator_id": "opr_" + "a" * 26, "activation_id": "act_" + "a" * 26, **digests, "channel": "counter", "acr": "eidas2"}


def _enrol_challenge() -> Claims:
    handle = transcript_sha256("paraphe/v1/device-handle", CLERK_ID, ENROL_ID)
    desk = {"id": "paraphe-desk", "name": "Paraphe"}
    named = {"challenge_id": ENROL_ID, "device_handle": handle, "relying_party": desk}
    return {**named, "action": "paraphe.enrol", "enrolment": _enrolled()}


def _approval() -> Claims:
    return {
        "iss": ISSUER,
        "decision": "approve",
        "match_code": "482913",
        "device_id": DEVICE_ID,
        "epoch": 1,
        "evaluation": 1,
        "element_sha256": SOME_HASH,
    }


def _assertion() -> Claims:
    digest = transcript_sha256("paraphe/v1/display", "en", "Buy a course", "Price", "€1,499.00")
    price = {"minor_units": 149_900, "currency": "EUR"}
    detail = {"type": "course.buy", "locale": "en", "title": "Buy a course", "display_sha256": digest}
    return {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "sub_" + "a" * 52,
        "jti": "j1",
        "txn": CHALLENGE_ID,
        "acr": "eidas2",
        "amr": ["pin", "swk", "pop", "mfa"],
        "auth_time": NOW - 2,
        "iat": NOW - 1,
        "exp": NOW + 59,
        "authorization_details": [{**detail, "parameters": {"price": price}}],
    }
