"""A clerk at the counter: logs in with their own phone, enrols a person. docs/protocol.md section 5.

Called by `story`.
"""

from __future__ import annotations

import time
from typing import Any

import grpc

from auth import Terminal
from connection import DEADLINE_S, Daemon, calling
from phone import Phone
from report import CheckFailed, Report
from stubs import Stubs

PASSPORT = "P<UTOERIKSSON<<ANNA<MARIA<<<<<<<<<<<<<<<<<<<\nL898902C36UTO7408122F1204159ZE184226B<<<<<10"
"""The specimen of ICAO Doc 9303 part 4, appendix B: Anna Maria Eriksson of Utopia."""

POLLS = 20
POLL_PAUSE_S = 0.25


class Clerk:
    """An operator with the role CLERK on a registered terminal."""

    def __init__(self, report: Report, daemon: Daemon, stubs: Stubs, terminal: Terminal) -> None:
        self._report = report
        self._terminal = terminal
        self._channel = daemon.channel(terminal)
        self._session_api, self._api = stubs.session.messages, stubs.enrolment.messages
        self._states, self._roles = stubs.step_up.messages.State, stubs.access.Role
        self._session = stubs.session.client(self._channel)
        self._enrolment = stubs.enrolment.client(self._channel)

    def log_in(self, operator: str, phone: Phone) -> None:
        """Raises the login challenge, has the operator's phone approve it, takes the session token."""
        name = "clerk.login"
        with calling(name):
            begun = self._session.Begin(self._session_api.BeginSessionRequest(operator=operator), timeout=DEADLINE_S)
            phone.approve(name, begun.challenge_id, begun.match_code)
            self._terminal.token = self._await_token(name, begun.challenge_id)
            who = self._session.WhoAmI(self._session_api.WhoAmIRequest(), timeout=DEADLINE_S)
        roles = [self._roles.Name(role) for role in who.roles]
        self._report.require(
            name,
            who.name == operator and "ROLE_CLERK" in roles and who.expires_at > time.time(),
            f"{who.name}, {', '.join(roles)}, token bound to the terminal",
            f"the session is {who.name}'s, roles {roles}, until {who.expires_at}.",
        )

    def _await_token(self, name: str, challenge_id: str) -> str:
        request = self._session_api.CompleteSessionRequest(challenge_id=challenge_id)
        for _ in range(POLLS):
            reply = self._session.Complete(request, timeout=DEADLINE_S)
            if reply.state == self._states.STATE_APPROVED:
                return str(reply.token)
            if reply.state != self._states.STATE_PENDING:
                break
            time.sleep(POLL_PAUSE_S)
        raise CheckFailed(name, f"the login is {self._states.Name(reply.state)}.")

    def enrol(self, phone: Phone) -> Any:
        """Case, evidence and activation of the specimen's holder, signed on the clerk's own `phone`; the IssueActivationResponse."""
        issued = self._issue(self._record_evidence())
        self._sign(issued, phone)
        return issued

    def _record_evidence(self) -> str:
        name, api = "clerk.evidence", self._api
        checks = [api.CHECK_DOCUMENT_GENUINE, api.CHECK_HOLDER_LIKENESS]
        with calling(name):
            case = self._enrolment.OpenCase(api.OpenCaseRequest(channel="counter"), timeout=DEADLINE_S)
            request = api.RecordEvidenceRequest(case_id=case.case_id, mrz=PASSPORT, checks=checks, accepted=True)
            case = self._enrolment.RecordEvidence(request, timeout=DEADLINE_S)
        document = case.document
        read = (document.format, document.family_name, document.given_names, document.birth_date, document.number_end)
        self._report.require(
            name,
            case.state == "verified" and read == ("TD3", "ERIKSSON", "ANNA MARIA", "1974-08-12", "02C3"),
            f"{case.case_id} {case.state}: {document.given_names} {document.family_name}, {document.birth_date}",
            f"the case is {case.state}, the document reads {read}.",
        )
        return str(case.case_id)

    def _issue(self, case_id: str) -> Any:
        name = "clerk.activation"
        with calling(name):
            request = self._api.IssueActivationRequest(case_id=case_id)
            issued = self._enrolment.IssueActivation(request, timeout=DEADLINE_S)
        typed = issued.code.replace("-", "")
        self._report.require(
            name,
            issued.uri.startswith(f"paraphe:1:{typed}:") and len(typed) == 28,
            f"{issued.activation_id}, typed code and QR code agree",
            "the typed code and the content of the QR code do not agree.",
        )
        return issued

    def _sign(self, issued: Any, phone: Phone) -> None:
        name = "clerk.signature"
        request = self._api.GetActivationRequest(activation_id=issued.activation_id)
        with calling(name):
            before = self._enrolment.GetActivation(request, timeout=DEADLINE_S).state
            phone.approve(name, issued.challenge_id, issued.match_code)
            after = self._enrolment.GetActivation(request, timeout=DEADLINE_S).state
        self._report.require(
            name,
            (before, after) == ("awaiting_signature", "issued"),
            "the clerk's own phone signed the enrolment",
            f"the activation was {before} and is {after}.",
        )

    def confirm(self, activation_id: str, digits: str) -> None:
        """Types the six digits that the phone shows."""
        name = "clerk.confirmation"
        with calling(name):
            request = self._api.ConfirmActivationRequest(activation_id=activation_id, code=digits)
            activation = self._enrolment.ConfirmActivation(request, timeout=DEADLINE_S)
        self._report.require(
            name,
            (activation.state, activation.device.state) == ("confirmed", "active"),
            "the six digits were typed, the phone is active",
            f"the activation is {activation.state}, the phone {activation.device.state}.",
        )

    def log_out(self) -> None:
        """Ends the session; its token is worth nothing afterwards."""
        name = "clerk.logout"
        with calling(name):
            self._session.End(self._session_api.EndSessionRequest(), timeout=DEADLINE_S)
        try:
            self._session.WhoAmI(self._session_api.WhoAmIRequest(), timeout=DEADLINE_S)
        except grpc.RpcError as error:
            ended = error.code() == grpc.StatusCode.UNAUTHENTICATED
            self._report.require(name, ended, "the token is refused afterwards", f"it is refused as {error.code()}.")
        else:
            raise CheckFailed(name, "the token of the ended session is still good.")
        self._channel.close()
