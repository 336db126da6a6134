"""A course marketplace: asks a person to confirm a purchase and holds the proof. docs/protocol.md section 6.

Called by `story`.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

from auth import Account
from connection import DEADLINE_S, Daemon, calling
from report import CheckFailed, Report
from stubs import Stubs

ACTION = "course.buy"
WATCH_S = 90


@dataclass(frozen=True)
class Basket:
    """What is bought; the reference is new in every run."""

    title: str = "TIG welding, level 2"
    provider: str = "GRETA Lyon Métropole"
    price_cents: int = 149_900
    session: str = "2027-01-11"
    reference: str = field(default_factory=lambda: f"PY-{secrets.token_hex(6)}")

    def values(self, api: Any) -> dict[str, Any]:
        """The parameters of the request."""
        return {
            "title": api.ParameterValue(text=self.title),
            "provider": api.ParameterValue(text=self.provider),
            "price": api.ParameterValue(money=api.Money(minor_units=self.price_cents, currency="EUR")),
            "session": api.ParameterValue(date=self.session),
            "reference": api.ParameterValue(text=self.reference),
        }

    def approved(self) -> dict[str, Any]:
        """The parameters as the assertion must say them."""
        return {
            "title": self.title,
            "provider": self.provider,
            "price": {"minor_units": self.price_cents, "currency": "EUR"},
            "session": self.session,
            "reference": self.reference,
        }


class Backend:
    """A registered relying party with its own key."""

    def __init__(self, report: Report, daemon: Daemon, stubs: Stubs, account: Account) -> None:
        self._report = report
        self._api = stubs.step_up.messages
        self._step_up = stubs.step_up.client(daemon.channel(account))

    def check(self) -> str:
        """Asks whether the purchase needs a confirmation; the person's pairwise subject."""
        name, api = "backend.check", self._api
        identity = api.PivotIdentity(family_name="Eriksson", given_names="Anna Maria", birth_date="1974-08-12")
        with calling(name):
            reply = self._step_up.Check(api.CheckRequest(identity=identity, action=ACTION), timeout=DEADLINE_S)
        self._report.require(
            name,
            reply.decision == api.DECISION_STEP_UP_REQUIRED and reply.subject.startswith("sub_"),
            f"a confirmation by {reply.subject} is required",
            f"the decision is {api.Decision.Name(reply.decision)}, the subject {reply.subject!r}.",
        )
        return str(reply.subject)

    def watch(self) -> Any:
        """The verdicts from now on."""
        with calling("backend.watch"):
            verdicts = self._step_up.Watch(self._api.WatchRequest(), timeout=WATCH_S)
            verdicts.initial_metadata()
        return verdicts

    def request(self, subject: str, basket: Basket) -> Any:
        """Asks the person to confirm; asking twice under one idempotency key is asking once. The RequestResponse."""
        name, api = "backend.request", self._api
        request = api.RequestRequest(
            idempotency_key=basket.reference,
            subject=subject,
            action=ACTION,
            parameters=basket.values(api),
            locale="en",
            match=api.MATCH_ENTER_CODE,
        )
        with calling(name):
            asked = self._step_up.Request(request, timeout=DEADLINE_S)
            again = self._step_up.Request(request, timeout=DEADLINE_S)
        self._report.require(
            name,
            asked.state == api.STATE_PENDING and asked.match_code.isdecimal() and asked == again,
            f"{asked.challenge_id}, page shows {len(asked.match_code)} digits",
            f"it is {api.State.Name(asked.state)}; asked again: {again.challenge_id}, first: {asked.challenge_id}.",
        )
        return asked

    def await_assertion(self, verdicts: Any, challenge_id: str) -> str:
        """The assertion from the stream; the same bytes come by Get."""
        name, api = "backend.watch", self._api
        with calling(name):
            verdict = next((verdict for verdict in verdicts if verdict.challenge_id == challenge_id), None)
            verdicts.cancel()
            got = self._step_up.Get(api.GetRequest(challenge_id=challenge_id), timeout=DEADLINE_S)
        if verdict is None:
            raise CheckFailed(name, "the stream ended without the verdict.")
        self._report.require(
            name,
            verdict.state == api.STATE_APPROVED and verdict.assertion != "" and verdict.cursor != "",
            f"{api.State.Name(verdict.state)} with an assertion of {len(verdict.assertion)} bytes",
            f"the verdict is {api.State.Name(verdict.state)}, assertion {verdict.assertion!r}.",
        )
        same = (got.state, got.assertion) == (verdict.state, verdict.assertion)
        self._report.require("backend.get", same, "the same bytes again", "Get returns another verdict than Watch.")
        return str(verdict.assertion)
