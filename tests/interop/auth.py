"""How the three kinds of callers authenticate, built with joserfc. docs/protocol.md section 1.

Called by `clerk`, `backend` and `auditor`. Invariant: a DPoP proof is made for one call and one only.
"""

from __future__ import annotations

import secrets
import time
from pathlib import Path
from urllib.parse import urlsplit

import grpc
from joserfc import jwt
from joserfc.jwk import ECKey

from jose import sha256

TOKEN_LIFETIME_S = 300


def read_key(path: Path) -> ECKey:
    """A P-256 private key, PKCS#8 PEM."""
    return ECKey.import_key(path.read_bytes())


def client_token(account: str, key: ECKey, issuer: str) -> str:
    """The JWT by which a backend or a service account says who it is (RFC 7523)."""
    now = int(time.time())
    claims = {"iss": account, "sub": account, "aud": issuer, "iat": now, "exp": now + TOKEN_LIFETIME_S}
    return jwt.encode({"alg": "ES256", "kid": key.thumbprint()}, claims, key, algorithms=["ES256"])


def dpop_proof(key: ECKey, url: str, token: str | None) -> str:
    """Proof that the caller of `url` holds `key` (RFC 9449 section 4.2)."""
    header = {"alg": "ES256", "typ": "dpop+jwt", "jwk": key.as_dict(private=False)}
    claims = {"htm": "POST", "htu": url, "iat": int(time.time()), "jti": secrets.token_urlsafe(16)}
    if token is not None:
        claims["ath"] = sha256(token.encode())
    return jwt.encode(header, claims, key, algorithms=["ES256"])


class Account(grpc.AuthMetadataPlugin):
    """A backend (relying party id) or a service account (`opr_…`) with its own key."""

    def __init__(self, account: str, key: ECKey, issuer: str) -> None:
        self._account = account
        self._key = key
        self._issuer = issuer

    def __call__(self, context: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:
        token = client_token(self._account, self._key, self._issuer)
        callback((("authorization", f"Bearer {token}"),), None)


class Terminal(grpc.AuthMetadataPlugin):
    """A registered terminal: a proof on every call, and the session token once there is one."""

    def __init__(self, key: ECKey, issuer: str) -> None:
        self._key = key
        self._issuer = issuer
        self.token: str | None = None

    def __call__(self, context: grpc.AuthMetadataContext, callback: grpc.AuthMetadataPluginCallback) -> None:
        url = f"{self._issuer}{urlsplit(context.service_url).path}/{context.method_name}"
        metadata = [("dpop", dpop_proof(self._key, url, self.token))]
        if self.token is not None:
            metadata.append(("authorization", f"DPoP {self.token}"))
        callback(tuple(metadata), None)
