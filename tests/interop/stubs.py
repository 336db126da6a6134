"""Python stubs of the gRPC services, generated from the `.proto` files by grpcio-tools.

Called by `run` for the story. Invariant: what talks to the daemon is generated from the published interface alone.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import grpc_tools
from grpc_tools import protoc

from report import CheckFailed, Report

PACKAGE = "paraphe.v1"
SERVICES = {"session": "Session", "enrolment": "Enrolment", "step_up": "StepUp", "admin": "Admin"}


@dataclass(frozen=True)
class Service:
    """The messages of one `.proto` file and the class of its client."""

    messages: ModuleType
    client: Any


@dataclass(frozen=True)
class Stubs:
    """The services that clerks, backends and auditors call, and the roles."""

    access: ModuleType
    session: Service
    enrolment: Service
    step_up: Service
    admin: Service


def generate(report: Report, proto: Path, out: Path) -> Stubs:
    """Generates all stubs of `proto` into `out` and imports them from there."""
    sources = sorted(str(path) for path in (proto / PACKAGE.replace(".", "/")).glob("*.proto"))
    if not sources:
        raise CheckFailed("stubs", f"there is no .proto file of {PACKAGE} in {proto}.")
    well_known = Path(grpc_tools.__file__).parent / "_proto"
    arguments = [f"-I{proto}", f"-I{well_known}", f"--python_out={out}", f"--grpc_python_out={out}"]
    if protoc.main(["protoc", *arguments, *sources]) != 0:
        raise CheckFailed("stubs", "grpc_tools.protoc refuses the .proto files.")
    sys.path.insert(0, str(out))
    report.held("stubs", f"{len(sources)} .proto files of {PACKAGE} by grpcio-tools")
    access = importlib.import_module(f"{PACKAGE}.access_pb2")
    return Stubs(access, **{name: _service(name, service) for name, service in SERVICES.items()})


def _service(module: str, service: str) -> Service:
    messages = importlib.import_module(f"{PACKAGE}.{module}_pb2")
    clients = importlib.import_module(f"{PACKAGE}.{module}_pb2_grpc")
    return Service(messages, getattr(clients, f"{service}Stub"))
