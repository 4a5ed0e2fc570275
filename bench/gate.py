"""The gate: instructions that a request costs, counted by valgrind, beside a baseline. Time plays no part in it.

    python bench/gate.py [--save]

A count that is more than ALLOWED over the baseline fails; `--save` makes what was counted the new baseline. Counts
depend on the build of Python and of the libraries that the baseline names. With another build the counts are compared
as multiples of work that has nothing to do with dragoman and was counted in the same run, and more is allowed.

Needs gcc and valgrind (Debian: `apt-get install gcc valgrind`).
"""

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import urllib.request
from importlib.metadata import version
from pathlib import Path
from typing import Any

import bodies
from counted import TIMES
from loads import EVENTS
from processes import HERE, ROOT, built, environment, free_port, running, wait_for
from proxies import CONFIG, DIALECTS, MODELS

BASELINE = HERE / "baseline.json"
ALLOWED, ALLOWED_ELSEWHERE = 0.10, 0.18  # of the baseline; a loss of a quarter is over both
KEY = "gate-token"
PATHS = {
    "chat": "/v1/chat/completions",
    "responses": "/v1/responses",
    "gemini": "/v1/models/some-model:{}",
    "anthropic": "/v1/messages",
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Instructions of a request, beside a baseline.")
    parser.add_argument("--save", action="store_true", help="make what is counted the new baseline")
    chosen = parser.parse_args()
    missing = [name for name in ("gcc", "valgrind") if not shutil.which(name)]
    if missing:
        print(f"The gate needs {' and '.join(missing)} (Debian: apt-get install gcc valgrind).", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="dragoman-gate-") as name:
        found = {"build": build(), "instructions": counts(Path(name))}
    if chosen.save:
        BASELINE.write_text(json.dumps(found, indent=1) + "\n")
        print(f"{BASELINE.relative_to(ROOT)} is written.")
        return 0
    lines, passed = compared(found, json.loads(BASELINE.read_text()))
    print("\n".join(lines))
    return 0 if passed else 1


def compared(found: dict[str, Any], baseline: dict[str, Any]) -> tuple[list[str], bool]:
    """What to say of two counts, and whether nothing got much dearer."""
    same = found["build"] == baseline["build"]
    allowed = ALLOWED if same else ALLOWED_ELSEWHERE
    now, before = found["instructions"], baseline["instructions"]
    scale = 1.0 if same else now["reference"] / before["reference"]
    lines = [f"{'instructions, thousands':32}{'baseline':>10}{'now':>10}{'':4}change"]
    failed = False
    for name, was in before.items():
        if name == "reference":
            continue
        change = now[name] / (was * scale) - 1
        over = change > allowed
        failed |= over
        lines.append(
            f"{name:32}{was * scale / 1000:10,.0f}{now[name] / 1000:10,.0f}{change:+10.1%}{'  OVER' if over else ''}"
        )
    if not same:
        differ = [key for key, value in baseline["build"].items() if found["build"].get(key) != value]
        lines.append(f"Another build than the baseline's ({', '.join(differ)}): scaled by the reference work.")
    if failed:
        lines.append(f"More than {allowed:.0%} over the baseline. `make profile` tells where the time goes.")
        lines.append("If the gain is worth the price, set a new baseline and say why: make gate ARGS=--save")
    elif same and any(now[name] < was * scale * (1 - allowed) for name, was in before.items()):
        lines.append("Cheaper than the baseline. Keep it so, by a new one: make gate ARGS=--save")
    return lines, not failed


def build() -> dict[str, str]:
    """What the counts depend on besides dragoman."""
    options = re.findall(r"'(--(?:enable|with)[^']*)'", sysconfig.get_config_var("CONFIG_ARGS") or "")
    valgrind = subprocess.run(["valgrind", "--version"], capture_output=True, check=True, text=True)
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}, {platform.python_compiler()}",
        "options": " ".join(sorted(options)),
        "libraries": ", ".join(f"{name} {version(name)}" for name in ("msgspec", "starlette", "uvloop")),
        "system": f"{platform.machine()}, {' '.join(platform.libc_ver())}",
        "valgrind": valgrind.stdout.strip(),
    }


def counts(folder: Path) -> dict[str, int]:
    """Name of the work -> instructions of one request."""
    plan = planned(folder)
    (folder / "plan.json").write_text(json.dumps(plan))
    marks = built("marks", "-shared", "-fPIC")
    command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/count"]
    command += [sys.executable, str(HERE / "counted.py"), str(folder), str(marks)]
    done = subprocess.run(
        command, cwd=folder, env=environment(folder, PYTHONHASHSEED="0"), capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"valgrind failed:\n{done.stderr[-4000:]}")
    found = {}
    for file in folder.glob("count.*"):
        text = file.read_text()
        name = re.search(r"^desc: Trigger: Client Request: (.+)$", text, re.MULTILINE)
        total = re.search(r"^(?:totals|summary): (\d+)$", text, re.MULTILINE)
        if name and total:
            found[name[1]] = int(total[1])
    return {each["name"]: found[each["name"]] // TIMES[each["size"]] for each in plan}


def planned(folder: Path) -> list[dict[str, str]]:
    """All that is counted; writes the files that it needs."""
    session = bodies.Session(rounds=30)
    big = [session.request(30 - number, stream=False) for number in reversed(range(12))]
    requests = {
        "small": [bodies.small(stream=False)] * (TIMES["small"] + 10),
        "big": big,
        "stream": [bodies.small(stream=True)] * 4,
    }
    for size, found in requests.items():
        lines = [bodies.encoded(each).replace(bodies.STAMP.encode(), b"%010d" % at) for at, each in enumerate(found)]
        (folder / f"{size}.jsonl").write_bytes(b"\n".join(lines))
    plan = [{"name": "reference", "size": "big", "bodies": "big.jsonl"}]
    port = free_port()
    with running([str(built("mock")), str(port)], str(min(os.sched_getaffinity(0))), folder):
        wait_for(port, f"/set?events={EVENTS}&pace=0&text=50")
        for dialect in DIALECTS:
            config = f"{dialect}.yaml"
            model = MODELS.get(dialect, "some-model")
            (folder / config).write_text(CONFIG.format(mock=port, dialect=dialect, model=model, key=KEY))
            for size in TIMES:
                answer = f"{dialect}-{size}.json"
                reads, kind = canned(port, dialect, stream=size == "stream")
                (folder / answer).write_text(json.dumps(reads))
                what = {"small": "small request", "big": "234 KB request", "stream": f"stream of {EVENTS} events"}
                files = {"bodies": f"{size}.jsonl", "config": config, "answer": answer}
                plan.append({"name": f"{dialect}: {what[size]}", "size": size, "kind": kind, "key": KEY, **files})
    return plan


def canned(port: int, dialect: str, *, stream: bool) -> tuple[list[str], str]:
    """The upstream's answer in pieces, an event each, and its content type."""
    path = PATHS[dialect].format("streamGenerateContent" if stream else "generateContent")
    body = b'{"stream":true}' if stream else b"{}"
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=body)
    with urllib.request.urlopen(request, timeout=20) as answer:
        text = answer.read().decode()
        pieces = re.findall(r".*?(?:\r?\n){2}", text, re.DOTALL) if stream else [text]
        return pieces, answer.headers["content-type"]


if __name__ == "__main__":
    sys.exit(main())
