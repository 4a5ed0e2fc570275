"""P1, P2 and P4: BIG_MODEL, SMALL_MODEL, THINKER_MODEL and PREFERRED_PROVIDER in an `.env`."""

import signal
from pathlib import Path

import pytest

from cli.test_cli_serve import free_port, get, served
from clients import scripted_gemini
from predecessors.conftest import CLAUDE_KEY, GEMINI_KEY, OPENAI_KEY, THINKING, Claude, Gemini, OpenAI, Serve

HAIKU = "claude-3-5-haiku-20241022"
Keys = dict[str, str]


def test_p1_1_haiku_is_small_and_sonnet_is_big(serve: Serve, keys: Keys) -> None:
    with serve(**keys, BIG_MODEL="openai/gpt-4.1", SMALL_MODEL="gpt-4o-mini") as gateway:
        assert gateway.ask().target == "openai/gpt-4.1"
        assert gateway.ask(model="claude-opus-4-1").target == "openai/gpt-4.1"
        assert gateway.ask(model=HAIKU).target == "openai/gpt-4o-mini"
    with serve(**keys, PREFERRED_PROVIDER="openai") as gateway:
        assert gateway.ask().target == "openai/gpt-4.1"
        assert gateway.ask(model=HAIKU).target == "openai/gpt-4.1-mini"


def test_p1_2_thinking_goes_to_the_thinker(serve: Serve, keys: Keys) -> None:
    with serve(**keys, THINKER_MODEL="openai/gpt-4o") as gateway:
        assert gateway.ask(thinking=THINKING, max_tokens=4000).target == "openai/gpt-4o"
        assert gateway.ask(model=HAIKU, thinking={"type": "adaptive"}).target == "openai/gpt-4o"
        assert gateway.ask(thinking={"type": "disabled"}).target == "openai/gpt-4.1"
        assert gateway.ask(model="openai/gpt-4.1-mini", thinking=THINKING, max_tokens=4000).target == (
            "openai/gpt-4.1-mini"
        )
        counted = gateway.ask(to="/v1/messages/count_tokens", thinking=THINKING, max_tokens=4000)
        assert counted.json["input_tokens"] > 0


def test_p1_3_passthrough_leaves_claude_alone(serve: Serve, keys: Keys, claude: Claude) -> None:
    with serve(**keys, BIG_MODEL="passthrough", THINKER_MODEL="openai/gpt-4o") as gateway:
        answer = gateway.ask(thinking=THINKING, max_tokens=4000, top_k=None, metadata={"user_id": "me"})
        assert answer.target == "anthropic/claude-sonnet-4-5"
        assert claude.requests[-1]["thinking"] == THINKING
        assert claude.requests[-1]["metadata"] == {"user_id": "me"}
        assert gateway.ask(model="claude-haiku-4-5").target == "anthropic/claude-haiku-4-5"
        assert gateway.ask(model="gpt-4.1").target == "openai/gpt-4.1"


def test_p1_4_prefixes_choose_the_provider_and_its_key(
    serve: Serve, keys: Keys, openai: OpenAI, gemini: Gemini, claude: Claude
) -> None:
    with serve(**keys, BIG_MODEL="gpt-4.1") as gateway:
        assert gateway.ask(model="openai/gpt-4.1").target == "openai/gpt-4.1"
        assert gateway.ask(model="gemini/gemini-2.5-pro").target == "gemini/gemini-2.5-pro"
        assert gateway.ask(model="anthropic/claude-haiku-4-5").target == "anthropic/claude-haiku-4-5"
        assert gateway.ask(model="gpt-4o-mini").target == "openai/gpt-4o-mini"
        assert gateway.ask(model="gemini-2.5-flash").target == "gemini/gemini-2.5-flash"
        assert gateway.ask(model="groq/some-model").status == 404
    assert {headers["authorization"] for headers in openai.headers} == {f"Bearer {OPENAI_KEY}"}
    assert {headers["x-goog-api-key"] for headers in gemini.headers} == {GEMINI_KEY}
    assert {asked.named["x-api-key"] for asked in claude.asked} == {CLAUDE_KEY}


def test_p1_5_the_whole_file(serve: Serve, keys: Keys, openai: OpenAI) -> None:
    lines = {"BIG_MODEL": "gpt-4.1", "SMALL_MODEL": "gpt-4.1-mini", "THINKER_MODEL": "gpt-4o"}
    more = {"PREFERRED_PROVIDER": "openai", "USE_VERTEX_AUTH": "false", "VERTEX_PROJECT": "", "VERTEX_LOCATION": ""}
    with serve(**keys, **lines, **more) as gateway:
        assert gateway.ask().target == "openai/gpt-4.1"
        assert gateway.ask(model=HAIKU).target == "openai/gpt-4.1-mini"
    assert {body["model"] for body in (*openai.chats, *openai.requests)} == {"gpt-4.1", "gpt-4.1-mini"}


def test_p1_7_streams_tools_and_counts(serve: Serve, keys: Keys) -> None:
    tool = {"name": "look", "description": "Looks.", "input_schema": {"type": "object", "properties": {}}}
    with serve(**keys, BIG_MODEL="gpt-4.1") as gateway:
        streamed = gateway.ask(stream=True, tools=[tool]).body.decode()
        assert streamed.startswith("event: message_start")
        assert streamed.rstrip().endswith('data: {"type":"message_stop"}')
        assert gateway.ask().json["type"] == "message"
        assert gateway.ask(to="/v1/messages/count_tokens").json["input_tokens"] > 0


@pytest.mark.parametrize(
    ("preferred", "big", "small"),
    [
        ("openai", "openai/gpt-4.1", "openai/gpt-4.1-mini"),
        ("google", "gemini/gemini-2.5-pro", "gemini/gemini-2.5-flash"),
        ("anthropic", "anthropic/claude-sonnet-4-5", "anthropic/claude-haiku-4-5"),
    ],
)
def test_p2_2_the_preferred_provider_serves(serve: Serve, keys: Keys, preferred: str, big: str, small: str) -> None:
    with serve(**keys, PREFERRED_PROVIDER=preferred) as gateway:
        assert gateway.ask().target == big
        assert gateway.ask(model="claude-haiku-4-5").target == small


def test_p2_3_openai_answers_when_the_preferred_provider_fails(serve: Serve, keys: Keys, gemini: Gemini) -> None:
    gemini.brain = lambda _: scripted_gemini.failure(403, "The API is not enabled.")
    with serve(**keys, PREFERRED_PROVIDER="google", BIG_MODEL="gemini-2.5-pro") as gateway:
        answer = gateway.ask()
        assert (answer.status, answer.target) == (200, "openai/gpt-4.1")
        assert gateway.ask(model=HAIKU).target == "openai/gpt-4.1-mini"
    assert len(gemini.requests) == 2


@pytest.mark.failure(136, 140, 142)
@pytest.mark.parametrize("verbose", ["", "true"])
def test_p2_4_keys_are_checked_and_kept_and_bodies_are_not_logged(
    serve: Serve, keys: Keys, openai: OpenAI, gemini: Gemini, tmp_path: Path, *, verbose: str
) -> None:
    said = "a sentence that only the model may see"
    lines = {**keys, "AUTH_TOKEN": "canary-token", "PREFERRED_PROVIDER": "google", "VERBOSE": verbose}
    with serve(**lines) as gateway:
        for wrong in ({}, {"x-api-key": "canary-wrong"}, {"authorization": f"Bearer {OPENAI_KEY}"}):
            refused = gateway.ask(headers=wrong)
            assert refused.status == 401
            assert refused.json["error"]["type"] == "authentication_error"
        turns = [{"role": "user", "content": said}]
        for header in ({"x-api-key": "canary-token"}, {"authorization": "Bearer canary-token"}):
            assert gateway.ask(headers=header, messages=turns).target == "gemini/gemini-2.5-pro"
        assert gateway.ask(headers={"x-api-key": "canary-token"}, model="gpt-4.1").target == "openai/gpt-4.1"
    # Each vendor sees its own key, and neither the other's nor the caller's.
    for vendor, own in ((openai, OPENAI_KEY), (gemini, GEMINI_KEY)):
        heads = str(vendor.headers)
        assert own in heads
        assert not [key for key in (OPENAI_KEY, GEMINI_KEY, CLAUDE_KEY, "canary-token") if key != own and key in heads]
    log = (tmp_path / "stdout").read_text("utf-8") + (tmp_path / "stderr").read_text("utf-8")
    assert len([line for line in log.splitlines() if '"event":"request"' in line]) == 6
    assert not [text for text in (said, "canary-token", "canary-wrong", "From Gemini.") if text in log]


def test_p2_4_log_levels(serve: Serve, keys: Keys, tmp_path: Path) -> None:
    with serve(**keys, DRAGOMAN_LOG_LEVEL="error") as gateway:
        assert gateway.ask().status == 200
    assert not (tmp_path / "stdout").read_text("utf-8")


def test_p4_1_gemini_by_key_and_claude_untranslated(serve: Serve, keys: Keys, gemini: Gemini, claude: Claude) -> None:
    with serve(**keys, PREFERRED_PROVIDER="google") as gateway:
        assert gateway.ask().json["content"][0]["text"] == "From Gemini."
        assert gateway.ask(model="anthropic/claude-haiku-4-5").json["content"][0]["text"] == "From Claude."
    assert len(gemini.requests) == len(claude.requests) == 1


def test_p4_2_the_preferred_provider_and_models(serve: Serve, keys: Keys) -> None:
    with serve(**keys, PREFERRED_PROVIDER="google", SMALL_MODEL="gpt-4.1-mini") as gateway:
        assert gateway.ask().target == "gemini/gemini-2.5-pro"
        assert gateway.ask(model=HAIKU).target == "openai/gpt-4.1-mini"


def test_p4_3_health_readiness_and_models(serve: Serve, keys: Keys) -> None:
    with serve(**keys) as gateway:
        assert gateway.get("/health").json == {"status": "ok"}
        ready = gateway.get("/health/ready")
        assert ready.status == 200
        assert ready.json["providers"] == {"anthropic": True, "openai": True, "gemini": True}
        assert gateway.get("/v1/models").json["data"]


def test_p4_4_host_port_and_verbose(tmp_path: Path) -> None:
    port = free_port()
    text = f"SERVER_HOST=127.0.0.1\nSERVER_PORT={port}\nVERBOSE=true\nUSE_VERTEX_AUTH=false\n"
    (tmp_path / ".env").write_text(text, "utf-8")
    with served(tmp_path) as running:
        assert running.url() == f"http://127.0.0.1:{port}"
        assert get(running.url())[0] == 200
        running.process.send_signal(signal.SIGTERM)
        assert running.process.wait(20) == 0


def test_p4_8_one_key_is_enough(serve: Serve, openai: OpenAI) -> None:
    with serve(OPENAI_API_KEY=OPENAI_KEY, OPENAI_BASE_URL=openai.url) as gateway:
        assert gateway.get("/health/ready").status == 200
        assert gateway.ask().status == 200
