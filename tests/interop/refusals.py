"""What must be refused: an altered assertion, the wrong audience, keys of somebody else, a time after `exp`.

Called by `story`, `kept` and `selftest` once the assertion itself was verified.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from joserfc.jwk import ECKey

from jose import Claims, base64url, parse
from report import CheckFailed, Report
from verify import Expected, verify_assertion

Inputs = tuple[str, Claims, Expected]


def check_refusals(report: Report, assertion: str, jwks: Claims, expected: Expected) -> None:
    """Alters one thing at a time; each must fail, and at the check that guards it."""
    cheaper = _altered(assertion, _cheaper)
    for_another = _altered(assertion, lambda claims: claims.update(aud="another-backend"))
    elsewhere = replace(expected, audience="another-backend")
    expiry = parse("refused", assertion)[1]["exp"]
    foreign, same_kid = foreign_keys(jwks, keep_kid=False), foreign_keys(jwks, keep_kid=True)
    signature = "assertion.signature"
    cases: list[tuple[str, str, str, Inputs]] = [
        ("altered", "another price", signature, (cheaper, jwks, expected)),
        ("readdressed", "another audience written into it", signature, (for_another, jwks, elsewhere)),
        ("audience", "shown to another backend", "assertion.audience", (assertion, jwks, elsewhere)),
        (
            "issuer",
            "another issuer",
            "assertion.issuer",
            (assertion, jwks, replace(expected, issuer="https://x.example")),
        ),
        ("expired", "at the second of its exp", "assertion.expiry", (assertion, jwks, replace(expected, at=expiry))),
        ("foreign_jwks", "keys of somebody else", signature, (assertion, foreign, expected)),
        ("foreign_key", "a foreign key under the right kid", signature, (assertion, same_kid, expected)),
    ]
    for name, what, guard, inputs in cases:
        must_fail(report, f"refused.{name}", what, guard, partial(verify_assertion, Report(None), *inputs))


def must_fail(report: Report, name: str, what: str, guard: str, attempt: Callable[[], object]) -> None:
    """Records that `attempt` failed at the check `guard`."""
    try:
        attempt()
    except CheckFailed as failure:
        why = f"it is refused at {failure.name}, not at {guard}: {failure.why}"
        report.require(name, failure.name == guard, f"{what}: refused at {guard}", why)
    else:
        raise CheckFailed(name, f"{what}: accepted.")


def foreign_keys(jwks: Claims, keep_kid: bool) -> Claims:
    """A JWK Set of the same shape with freshly made keys."""
    return {"keys": [_foreign_key(entry, keep_kid) for entry in jwks["keys"]]}


def _foreign_key(entry: Claims, keep_kid: bool) -> Claims:
    made = ECKey.generate_key("P-256")
    public = made.as_dict(private=False)
    kid = entry["kid"] if keep_kid else made.thumbprint()
    return {**entry, "x": public["x"], "y": public["y"], "kid": kid}


def _cheaper(claims: Claims) -> None:
    claims["authorization_details"][0]["parameters"]["price"]["minor_units"] = 1


def _altered(compact: str, alter: Callable[[Claims], None]) -> str:
    """Other claims under the signature of the old ones."""
    header, _, signature = compact.split(".")
    claims = parse("refused", compact)[1]
    alter(claims)
    return f"{header}.{base64url(json.dumps(claims, separators=(',', ':')).encode())}.{signature}"
