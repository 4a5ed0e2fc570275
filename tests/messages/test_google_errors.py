"""What Google's error bodies say beside their text; the error cases of the Gemini dialect hold whole bodies."""

from typing import Any

import pytest

from dragoman.messages import google_errors, refusals
from dragoman.messages.google_errors import Details
from dragoman.messages.overflow import Asked

ASKED = Asked(provider="lab", model="some-model", key="LAB_KEY")


@pytest.mark.parametrize("inner", [{}, {"status": 400}, {"status": "failed"}, {"status": None}, {"status": ""}])
def test_other_forms_of_errors_have_no_details(inner: dict[str, Any]) -> None:
    assert google_errors.details(inner) is None


@pytest.mark.parametrize(
    ("details", "found"),
    [
        (None, Details()),
        ("none", Details()),
        ([None, 3, {}], Details()),
        ([{"reason": 3, "metadata": [], "links": {}, "violations": [7], "fieldViolations": "x"}], Details()),
        ([{"reason": "A"}, {"reason": "B"}], Details("A")),
        ([{"metadata": {"service": "s", "activationUrl": "u"}}], Details(service="s", link="u")),
        (
            [{"links": [{"url": "https://ai.google.dev/x"}, {"url": "https://console.cloud.google.com/x"}]}],
            Details(link="https://console.cloud.google.com/x"),
        ),
        ([{"violations": [{"quotaId": "A"}, {"quotaId": "A"}, {"subject": "B"}]}], Details(quotas=("A",))),
        ([{"fieldViolations": [{"description": "wrong"}, {"field": "a"}]}], Details(violations=("wrong",))),
    ],
)
def test_what_the_details_hold(details: Any, found: Details) -> None:
    assert google_errors.details({"status": "INVALID_ARGUMENT", "details": details}) == found


@pytest.mark.parametrize(
    ("details", "text", "kind"),
    [
        (Details("API_KEY_INVALID"), "", "upstream_authentication"),
        (Details("BILLING_DISABLED"), "", "billing"),
        (Details("RATE_LIMIT_EXCEEDED"), "", "rate_limit"),
        (Details("SERVICE_DISABLED"), "", None),
        (Details(), "Request payload size exceeds the limit: 20971520 bytes.", "too_large"),
        (Details(), "Invalid value: 'Your prepayment credits are depleted'", None),  # it quotes the caller
    ],
)
def test_the_kind(details: Details, text: str, kind: str | None) -> None:
    assert google_errors.kind(details, text) == kind


@pytest.mark.failure(122)
@pytest.mark.parametrize(
    ("details", "text", "hopeless"),
    [
        (Details(quotas=("RequestsPerMinute", "RequestsPerDay")), "", True),
        (Details(quotas=("RequestsPerMinute",)), "", False),
        (Details(), "* Quota exceeded for metric: a.b/c, limit: 0, model: x", True),
        (Details(), "* Quota exceeded for metric: a.b/c, limit: 05, model: x", False),
    ],
)
def test_what_minutes_do_not_mend(details: Details, text: str, *, hopeless: bool) -> None:
    assert google_errors.is_hopeless(details, text) is hopeless


def test_hints_without_a_key() -> None:
    blocked = google_errors.hint(Details("API_KEY_SERVICE_BLOCKED"), "", None)
    assert blocked == ". The key is for other APIs only: allow this API for it in the Google Cloud console."
    assert google_errors.hint(Details(), "", None) is None


@pytest.mark.failure(136)
def test_no_key_is_passed_on_in_a_link() -> None:
    link = "https://console.cloud.google.com/apis?key=dummy-not-a-real-key"
    inner = {
        "code": 403,
        "status": "PERMISSION_DENIED",
        "message": "Off.",
        "details": [{"reason": "SERVICE_DISABLED", "metadata": {"activationUrl": link}}],
    }
    assert "dummy" not in refusals.embedded({"error": inner}, ASKED).message
