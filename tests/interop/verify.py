"""The assertion by itself: what every backend checks, with joserfc. docs/protocol.md section 6.

Called by `story`, `kept` and `selftest`. Invariant: the keys come from the daemon's JWK Set and nowhere else; time is
an argument.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from joserfc import jwt
from joserfc.errors import ClaimError, JoseError
from joserfc.jwk import ECKey, KeySet

from jose import ASSERTION, Claims, Statement, bare_jwk, parse, public_key, verify_statement
from report import CheckFailed, Report

LIFETIME_S = 60
CHECK_OF_CLAIM = {"iss": "assertion.issuer", "aud": "assertion.audience", "exp": "assertion.expiry"}


@dataclass(frozen=True)
class Expected:
    """What a backend demands: issuer URL, its own id, and the Unix time of the verification."""

    issuer: str
    audience: str
    at: int


def verify_assertion(report: Report, compact: str, jwks: Claims, expected: Expected) -> Statement:
    """Verifies signature, `alg`, `typ`, `iss`, `aud`, times and methods."""
    _verify_with_joserfc(report, compact, jwks, expected)
    keys = published_keys(report, jwks)
    header, _ = parse("assertion.header", compact)
    key = keys.get(str(header.get("kid")))
    if key is None:
        raise CheckFailed("assertion.header", "its kid is not a thumbprint of the JWK Set.")
    statement = verify_statement("assertion.header", compact, ASSERTION, key, expected.issuer)
    report.held("assertion.header", f"alg ES256, typ {ASSERTION}, kid {statement.kid}")
    claims = statement.claims
    report.require(
        "assertion.audience", claims["aud"] == expected.audience, expected.audience, f"it is for {claims['aud']!r}."
    )
    _check_times(report, claims, expected)
    _check_methods(report, claims)
    return statement


def published_keys(report: Report, jwks: Claims) -> dict[str, ECKey]:
    """The public ES256 keys of a JWK Set by thumbprint, each named by its own thumbprint."""
    entries = jwks.get("keys")
    if not isinstance(entries, list) or not entries:
        raise CheckFailed("jwks", "the JWK Set holds no key.")
    keys = dict(_published_key(entry) for entry in entries)
    report.held("jwks", f"{len(keys)} public ES256 key{'s' if len(keys) > 1 else ''}")
    return keys


def _published_key(entry: Claims) -> tuple[str, ECKey]:
    named = {name: entry.get(name) for name in ("use", "alg")}
    if named != {"use": "sig", "alg": "ES256"}:
        raise CheckFailed("jwks", f"a key is for {named}, not for signatures by ES256.")
    key = public_key("jwks", bare_jwk("jwks", entry))
    if entry.get("kid") != key.thumbprint():
        raise CheckFailed("jwks", f"{entry.get('kid')} is not the thumbprint of its key.")
    return key.thumbprint(), key


def _verify_with_joserfc(report: Report, compact: str, jwks: Any, expected: Expected) -> None:
    """Exactly what joserfc's manual tells a backend to write."""
    try:
        token = jwt.decode(compact, KeySet.import_key_set(jwks), algorithms=["ES256"])
    except (JoseError, KeyError, ValueError) as error:
        raise CheckFailed("assertion.signature", f"joserfc refuses it: {error}") from error
    report.held("assertion.signature", f"ES256 by key {token.header['kid']} of the JWK Set")
    registry = jwt.JWTClaimsRegistry(
        now=expected.at,
        iss={"essential": True, "value": expected.issuer},
        aud={"essential": True, "value": expected.audience},
        exp={"essential": True},
    )
    try:
        registry.validate(token.claims)
    except ClaimError as error:
        name = CHECK_OF_CLAIM.get(error.claim, f"assertion.{error.claim}")
        raise CheckFailed(name, f"joserfc refuses it: {error}") from error
    report.held("assertion.issuer", expected.issuer)


def _check_times(report: Report, claims: Claims, expected: Expected) -> None:
    left_s = claims["exp"] - expected.at
    report.held("assertion.expiry", f"good for {left_s} s more at the time of verification")
    ordered = claims["auth_time"] <= claims["iat"] <= expected.at and claims["exp"] == claims["iat"] + LIFETIME_S
    report.require(
        "assertion.times",
        ordered,
        f"approved {claims['iat'] - claims['auth_time']} s before it was minted, for {LIFETIME_S} s",
        f"auth_time {claims['auth_time']}, iat {claims['iat']}, exp {claims['exp']} do not fit {expected.at}.",
    )


def _check_methods(report: Report, claims: Claims) -> None:
    methods = claims["amr"]
    one_key = ("hwk" in methods) != ("swk" in methods)
    holds = {"pin", "pop", "mfa"} <= set(methods) and one_key and claims["acr"] in ("eidas1", "eidas2", "eidas3")
    said = f"{claims['acr']}, {' '.join(methods)}"
    report.require("assertion.methods", holds, said, f"they do not say an approval by PIN: {said}.")
