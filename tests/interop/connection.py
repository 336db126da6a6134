"""The daemon's TLS port: gRPC channels and the JWK Set, both verified against the given certificate authority.

Called by `story`. Invariant: no proxy, no other trust anchor than `ca_file`.
"""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc

from report import CheckFailed

DEADLINE_S = 20
JWKS_PATH = "/.well-known/jwks.json"


@dataclass(frozen=True)
class Daemon:
    """Where the daemon listens (`server`, an https URL), who signed its certificate, and its issuer URL."""

    server: str
    ca_file: Path
    issuer: str

    def channel(self, caller: grpc.AuthMetadataPlugin) -> grpc.Channel:
        """A channel whose every call carries the credentials of `caller`."""
        tls = grpc.ssl_channel_credentials(root_certificates=self.ca_file.read_bytes())
        credentials = grpc.composite_channel_credentials(tls, grpc.metadata_call_credentials(caller))
        return grpc.secure_channel(urlsplit(self.server).netloc, credentials, options=[("grpc.enable_http_proxy", 0)])

    def jwks(self) -> dict[str, Any]:
        """The JWK Set as published."""
        context = ssl.create_default_context(cafile=str(self.ca_file))
        opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
        )
        try:
            with opener.open(self.server.rstrip("/") + JWKS_PATH, timeout=DEADLINE_S) as reply:
                return dict(json.load(reply))
        except (OSError, ValueError) as error:
            raise CheckFailed("jwks", f"{JWKS_PATH} cannot be read: {error}") from error


@contextmanager
def calling(name: str) -> Iterator[None]:
    """Gives a failed call the name of the check that it was made for."""
    try:
        yield
    except grpc.RpcError as error:
        raise CheckFailed(name, f"{error.code().name}: {error.details()}") from error
