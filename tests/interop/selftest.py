"""The verifier against self-made purchases: the true one holds, and each altered one is refused where it must be.

Called by `run`. No daemon, no network, no clock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from evidence import Bundle, verify_evidence
from jose import transcript_sha256
from refusals import check_refusals, must_fail
from report import Report
from selfmade import AUDIENCE, ISSUER, NOW, SOME_HASH, SelfMade
from verify import Expected, verify_assertion

Alteration = Callable[[SelfMade], object]

EXPECTED = Expected(ISSUER, AUDIENCE, NOW)


def test(report: Report) -> None:
    """Ends at the first case that is not as it should be."""
    _check_transcript(report)
    story = SelfMade()
    assertion, bundle = story.seal()
    _verify(story, assertion, bundle)
    report.held("true", "a purchase as the protocol says holds")
    check_refusals(report, assertion, story.jwks(), EXPECTED)
    for number, (guard, what, alter) in enumerate(_alterations(), start=1):
        must_fail(report, f"altered.{number}", what, guard, partial(_verify_altered, alter))
    for number, (guard, what, exchanged) in enumerate(_exchanges(bundle), start=1):
        must_fail(report, f"exchanged.{number}", what, guard, partial(_verify, story, assertion, exchanged))


def _check_transcript(report: Report) -> None:
    """The value was computed by hand; a letter moved from one field to the next makes another one."""
    distinct = transcript_sha256("l", "ab", "c") != transcript_sha256("l", "a", "bc")
    pinned = transcript_sha256("l", "ab", "c") == "G0tMr0IHxOKTs8V9rZirxWPNMOIMWIN5AjVORDSc_aM"
    report.require("transcript", distinct and pinned, "length-prefixed, SHA-256", "it is not what it was.")


def _verify(story: SelfMade, assertion: str, bundle: Bundle) -> None:
    report = Report(None)
    verified = verify_assertion(report, assertion, story.jwks(), EXPECTED)
    verify_evidence(report, bundle, verified, ISSUER)


def _verify_altered(alter: Alteration) -> None:
    story = SelfMade()
    alter(story)
    _verify(story, *story.seal())


def _set(name: str, **claims: object) -> Alteration:
    return lambda story: story.overrides.update({name: claims})


def _signed_by(name: str, signer: str) -> Alteration:
    return lambda story: story.signers.update({name: signer})


def _high_s(name: str) -> Alteration:
    return lambda story: story.high_s.add(name)


def _state(name: str, entry: int, **changes: str) -> Alteration:
    return lambda story: story.claims[name]["keys"][entry].update(changes)


def _detail(**changes: str) -> Alteration:
    return lambda story: story.claims["assertion"]["authorization_details"][0].update(changes)


def _retire_everywhere(entry: int) -> Alteration:
    def alter(story: SelfMade) -> None:
        for name in ("key_set", "later_key_set"):
            story.claims[name]["keys"][entry]["state"] = "retired"
        story.signers["later_key_set"] = "root"

    return alter


def _alterations() -> list[tuple[str, str, Alteration]]:
    return [*_altered_assertions(), *_altered_chains(), *_altered_approvals(), *_altered_enrolments()]


def _altered_assertions() -> list[tuple[str, str, Alteration]]:
    return [
        ("assertion.signature", "assertion by a stranger's key", _signed_by("assertion", "stranger")),
        ("assertion.header", "assertion with a high s", _high_s("assertion")),
        ("assertion.header", "assertion with an unknown field", _set("assertion", admin=True)),
        ("assertion.issuer", "assertion of another issuer", _set("assertion", iss="https://other.example")),
        ("assertion.audience", "assertion for another backend", _set("assertion", aud="other")),
        ("assertion.audience", "assertion for two backends", _set("assertion", aud=[AUDIENCE, "other"])),
        ("assertion.expiry", "assertion that ended now", _set("assertion", exp=NOW)),
        ("assertion.times", "assertion for an hour", _set("assertion", exp=NOW + 3600)),
        ("assertion.times", "assertion minted before the approval", _set("assertion", auth_time=NOW)),
        ("assertion.methods", "assertion without PIN", _set("assertion", amr=["swk", "pop", "mfa"])),
        ("assertion.methods", "assertion of two keystores", _set("assertion", amr=["pin", "swk", "hwk", "pop", "mfa"])),
        ("assertion.methods", "assertion of an unknown level", _set("assertion", acr="eidas9")),
        ("challenge.binding", "assertion about another challenge", _set("assertion", txn="chl_" + "b" * 26)),
        ("challenge.binding", "assertion with another hash", _set("assertion", challenge_sha256=SOME_HASH)),
        ("challenge.display", "assertion of another action", _detail(type="house.buy")),
        ("challenge.display", "assertion of another document", _detail(display_sha256=SOME_HASH)),
        ("challenge.display", "assertion of nothing", _set("assertion", authorization_details=[])),
        ("challenge.time", "approval before the challenge", _set("assertion", auth_time=NOW - 31)),
        ("device.keystore", "hardware claimed for software", _set("assertion", amr=["pin", "hwk", "pop", "mfa"])),
        ("assertion.approval", "assertion of another approval", _set("assertion", approval_sha256=SOME_HASH)),
    ]


def _altered_chains() -> list[tuple[str, str, Alteration]]:
    other_backend = {"id": "another", "name": "Another"}
    return [
        ("key_sets", "first key set not by the root key", _signed_by("key_set", "challenge")),
        ("key_sets", "later key set by the assertion key", _signed_by("later_key_set", "assertion")),
        ("key_sets", "later key set by a retired key", _state("key_set", 0, state="retired")),
        ("key_sets", "skipped version", _set("later_key_set", version=3)),
        ("key_sets", "key set with a wrong kid", _state("later_key_set", 1, kid=SOME_HASH)),
        ("key_sets", "key set with a high s", _high_s("key_set")),
        ("assertion.key_set", "assertion key never active", _retire_everywhere(1)),
        ("challenge.signature", "challenge key never active", _retire_everywhere(0)),
        ("challenge.signature", "challenge by the assertion key", _signed_by("challenge", "assertion")),
        ("challenge.signature", "challenge with a high s", _high_s("challenge")),
        ("challenge.signature", "challenge of another issuer", _set("challenge", iss="https://other.example")),
        ("challenge.relying_party", "challenge of another backend", _set("challenge", relying_party=other_backend)),
        ("challenge.time", "challenge that had ended", _set("challenge", exp=NOW - 10)),
    ]


def _altered_approvals() -> list[tuple[str, str, Alteration]]:
    return [
        ("activation.signature", "outer activation by a stranger", _signed_by("outer", "stranger")),
        ("activation.signature", "inner activation by a stranger", _signed_by("inner", "stranger")),
        ("activation.signature", "activation with a high s", _high_s("inner")),
        ("device.handle", "challenge for another phone", _set("challenge", device_handle=SOME_HASH)),
        ("device.handle", "activation of another phone", _set("inner", device_id="dev_" + "b" * 26)),
        ("approval.signature", "approval by the possession key", _signed_by("approval", "possession")),
        ("approval.signature", "approval with a high s", _high_s("approval")),
        ("approval.binding", "approval of another challenge", _set("approval", challenge_sha256=SOME_HASH)),
        ("approval.binding", "approval by another phone", _set("approval", device_id="dev_" + "b" * 26)),
        ("approval.decision", "approval that says deny", _set("approval", decision="deny")),
        ("approval.decision", "approval without an evaluation", _set("approval", evaluation=0)),
        ("approval.match_code", "approval without the code", _set("approval", match_code="")),
    ]


def _enrolled(**changes: str) -> Alteration:
    return lambda story: story.claims["enrolment"]["enrolled"].update(changes)


def _altered_enrolments() -> list[tuple[str, str, Alteration]]:
    other = "act_" + "b" * 26
    return [
        ("enrolment.clerk", "clerk's activation by a stranger", _signed_by("clerk_outer", "stranger")),
        ("enrolment.challenge", "enrolment asked for by the assertion key", _signed_by("enrol_challenge", "assertion")),
        ("enrolment.challenge", "clerk asked for a purchase", _set("enrol_challenge", action="course.buy")),
        ("enrolment.handle", "clerk asked on another phone", _set("clerk_inner", device_id="dev_" + "d" * 26)),
        ("enrolment.signature", "enrolment by the clerk's possession key", _signed_by("enrolment", "clerk_possession")),
        ("enrolment.signature", "enrolment with a high s", _high_s("enrolment")),
        ("enrolment.binding", "enrolment of another challenge", _set("enrolment", challenge_sha256=SOME_HASH)),
        ("enrolment.binding", "enrolment of another person", _enrolled(person_sha256="b" * 43)),
        ("enrolment.activation", "enrolment of another activation", _set("inner", activation_id=other)),
        ("enrolment.activation", "assertion above the enrolment", _set("assertion", acr="eidas3")),
    ]


def _exchanges(true: Bundle) -> list[tuple[str, str, Bundle]]:
    other_assertion, other = SelfMade().seal()
    return [
        ("key_sets", "another root key", replace(true, root=other.root)),
        ("key_sets", "no key set", replace(true, key_sets=[])),
        ("key_sets", "only the later key set", replace(true, key_sets=true.key_sets[1:])),
        ("challenge.signature", "another issuer's challenge", replace(true, challenge=other.challenge)),
        ("challenge.signature", "the assertion as challenge", replace(true, challenge=other_assertion)),
        ("approval.signature", "another phone's activation", replace(true, activation=other.activation)),
        ("approval.signature", "another phone's approval", replace(true, approval=other.approval)),
        ("approval.signature", "the activation as approval", replace(true, approval=true.activation)),
    ]
