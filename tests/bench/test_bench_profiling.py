"""Samples of a profiler, by room of the house."""

from xml.etree import ElementTree as ET

LINES = [
    "thread (1): MainThread;serve (uvicorn/server.py);feed (dragoman/dialects/chat/answer.py) 3",
    "thread (1): MainThread;serve (uvicorn/server.py);encode (/opt/x/src/dragoman/messages/sse.py) 1",
    "thread (2): log;write (dragoman/telemetry/outlet.py) 9",
]


def test_only_the_thread_that_serves_counts(bench):
    assert bench("profiling").read(LINES).total() == 4


def test_rooms_and_libraries(bench):
    room = bench("profiling").room
    assert room("feed (dragoman/dialects/chat/answer.py)") == "dialects/chat"
    assert room("line (dragoman/server/application.py)") == "server"
    assert room("data_received (uvicorn/protocols/http/httptools_impl.py)") == "uvicorn"
    assert room("run (asyncio/runners.py)") == "loop and kernel"
    assert room("main (dragoman/__main__.py)") == "the rest"


def test_shares_are_those_of_the_innermost_frame_and_of_all_above(bench):
    profiling = bench("profiling")
    shown = profiling.table("room", profiling.read(LINES), profiling.room)
    rows = {line[:64].strip(): line[64:].split() for line in shown.splitlines()}
    assert rows["dialects/chat"] == ["75.0%", "75.0%"]
    assert rows["messages"] == ["25.0%", "25.0%"]


def test_a_flame_graph_is_xml_with_every_frame(bench):
    profiling = bench("profiling")
    root = ET.fromstring(profiling.flames("a <load>", profiling.read(LINES)))
    titles = [element.text for element in root.iter() if element.tag.endswith("title")]
    assert "feed (dragoman/dialects/chat/answer.py): 75.0%" in titles
    assert len(titles) == 3


def test_nothing_sampled_is_no_failure(bench):
    profiling = bench("profiling")
    ET.fromstring(profiling.flames("nothing", profiling.read([])))
