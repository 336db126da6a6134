"""One signed statement, verified with joserfc and the rules of docs/protocol.md section 3.

Called by `verify` and `evidence`. Invariant: a `Statement` was verified: its signature, its exact header, its exact
fields and its issuer. Nothing but `kid` is read from a statement before its signature was checked.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from joserfc.util import urlsafe_b64decode, urlsafe_b64encode

from report import CheckFailed

Claims = dict[str, Any]

MOST_BYTES = 8 * 1024
# An activation may carry a key attestation.
MOST_BYTES_ATTESTED = 24 * 1024
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551

ASSERTION, CHALLENGE, APPROVAL = "JWT", "paraphe-challenge+jwt", "paraphe-approval+jwt"
ENROLMENT = "paraphe-enrolment+jwt"
ACTIVATION, ACTIVATION_KEY, KEY_SET = "paraphe-activation+jwt", "paraphe-activation-key+jwt", "paraphe-keyset+jwt"

FIELDS: dict[str, frozenset[str]] = {
    typ: frozenset(names.split())
    for typ, names in {
        ASSERTION: "iss aud sub jti txn acr amr auth_time iat exp authorization_details"
        " challenge_sha256 approval_sha256",
        CHALLENGE: "iss challenge_id device_handle relying_party action display match nonce iat exp",
        APPROVAL: "iss challenge_sha256 decision match_code device_id epoch evaluation element_sha256",
        ENROLMENT: "iss challenge_sha256 device_id epoch evaluation enrolled",
        ACTIVATION: "iss inner",
        ACTIVATION_KEY: "iss activation_id device_id nonce offer_sha256 platform keystore possession_key approval_key",
        KEY_SET: "iss version keys iat",
    }.items()
}
OPTIONAL_FIELDS: dict[str, frozenset[str]] = {
    ACTIVATION_KEY: frozenset({"attestation"}),
    CHALLENGE: frozenset({"enrolment"}),
}


@dataclass(frozen=True)
class Statement:
    """A verified statement; `sha256` is base64url text over the exact compact bytes."""

    claims: Claims
    kid: str
    sha256: str


def base64url(data: bytes) -> str:
    """RFC 4648 section 5, unpadded."""
    return urlsafe_b64encode(data).decode("ascii")


def sha256(data: bytes) -> str:
    """SHA-256 as base64url text."""
    return base64url(hashlib.sha256(data).digest())


def transcript_sha256(label: str, *fields: str) -> str:
    """SHA-256 over the label and the fields, each prefixed by its length as 32-bit big-endian number."""
    parts = (part.encode() for part in (label, *fields))
    return sha256(b"".join(len(part).to_bytes(4, "big") + part for part in parts))


def public_key(name: str, jwk: object) -> ECKey:
    """A P-256 public key from exactly the members `kty`, `crv`, `x` and `y`."""
    if not isinstance(jwk, dict) or set(jwk) != {"kty", "crv", "x", "y"}:
        raise CheckFailed(name, f"not a bare public key: {jwk!r}")
    if (jwk["kty"], jwk["crv"]) != ("EC", "P-256"):
        raise CheckFailed(name, f"not a P-256 key: {jwk['kty']} {jwk['crv']}")
    try:
        key = ECKey.import_key(jwk)
        key.thumbprint()
    except (JoseError, ValueError) as error:
        raise CheckFailed(name, f"not a key: {error}") from error
    return key


def bare_jwk(name: str, jwk: object) -> Claims:
    """The key itself of a published JWK, without `kid`, `use` and `alg`."""
    if not isinstance(jwk, dict):
        raise CheckFailed(name, f"not a JWK: {jwk!r}")
    bare = {member: value for member, value in jwk.items() if member not in ("kid", "use", "alg")}
    public_key(name, bare)
    return bare


def verify_statement(name: str, compact: str, typ: str, key: ECKey, issuer: str) -> Statement:
    """The statement, where it is one of `issuer`, of type `typ`, signed by `key`."""
    most = MOST_BYTES_ATTESTED if typ in (ACTIVATION, ACTIVATION_KEY) else MOST_BYTES
    if len(compact) > most:
        raise CheckFailed(name, f"{len(compact)} bytes are more than {most}.")
    try:
        jws.deserialize_compact(compact, key, algorithms=["ES256"])
    except (JoseError, ValueError) as error:
        raise CheckFailed(name, f"joserfc refuses it: {error}") from error
    _refuse_high_s(name, compact)
    kid = key.thumbprint()
    header, claims = parse(name, compact)
    if header != {"alg": "ES256", "typ": typ, "kid": kid}:
        raise CheckFailed(name, f"its header is {header!r}.")
    _compare_fields(name, typ, claims)
    if claims["iss"] != issuer:
        raise CheckFailed(name, f"it is by {claims['iss']}, not by {issuer}.")
    return Statement(claims, kid, sha256(compact.encode()))


def unverified_kid(name: str, compact: str) -> str:
    """The thumbprint of the key that is said to have signed."""
    kid = parse(name, compact)[0].get("kid")
    if not isinstance(kid, str):
        raise CheckFailed(name, "its header names no key.")
    return kid


def parse(name: str, compact: str) -> tuple[Claims, Claims]:
    """Header and claims of a compact JWS, verified or not. Members that appear twice are refused."""
    parts = compact.split(".")
    if len(parts) != 3:
        raise CheckFailed(name, "it is not a compact JWS.")
    return _parse_object(name, parts[0]), _parse_object(name, parts[1])


def _parse_object(name: str, part: str) -> Claims:
    try:
        data = urlsafe_b64decode(part.encode())
        parsed = json.loads(data, object_pairs_hook=_members)
    except ValueError as error:
        raise CheckFailed(name, f"it is malformed: {error}") from error
    if base64url(data) != part or not isinstance(parsed, dict):
        raise CheckFailed(name, "it is malformed: not the canonical base64url of a JSON object.")
    return parsed


def _members(pairs: list[tuple[str, Any]]) -> Claims:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member appears twice")
    return members


def _refuse_high_s(name: str, compact: str) -> None:
    signature = urlsafe_b64decode(compact.rsplit(".", 1)[1].encode())
    if int.from_bytes(signature[32:], "big") > P256_ORDER // 2:
        raise CheckFailed(name, "its signature has a high s.")


def _compare_fields(name: str, typ: str, claims: Claims) -> None:
    missing = FIELDS[typ] - set(claims)
    unknown = set(claims) - FIELDS[typ] - OPTIONAL_FIELDS.get(typ, frozenset())
    if missing or unknown:
        raise CheckFailed(name, f"fields missing: {sorted(missing)}, unknown: {sorted(unknown)}.")
