"""A page opened in headless Chromium with every host name unresolvable, and what it tried to load."""

import json
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--disable-dev-shm-usage"),
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--enable-logging=stderr",
)
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
# How Chromium marks requests of its own in the net log; those of a page bear the page's origin.
BROWSER_ITSELF = "not an origin"


@dataclass(frozen=True)
class Page:
    """A page after its scripts have run."""

    dom: str
    console: list[str]
    requests: list[str]

    def walked(self) -> dict:
        """Return what a walk (see ``with_walk``) has noted."""
        found = re.search(r'<pre id="walk">(.*?)</pre>', self.dom, re.S)
        return json.loads(found[1].replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">"))


def browser() -> str | None:
    return next((path for name in NAMES if (path := shutil.which(name))), None)


def open_page(path: Path, scratch: Path, *, milliseconds: int = 10_000) -> Page:
    """Open a local page and return its document, console and the requests that it made to any host."""
    scratch.mkdir(parents=True)
    log = scratch / "net.json"
    flags = [*FLAGS, f"--user-data-dir={scratch / 'profile'}", f"--log-net-log={log}"]
    command = [browser(), *flags, f"--virtual-time-budget={milliseconds}", "--dump-dom", path.resolve().as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=180)
    console = re.findall(r"CONSOLE:\d+\] (.*)", done.stderr)
    return Page(done.stdout, console, page_requests(json.loads(log.read_text(encoding="utf-8"))))


def page_requests(log: dict) -> list[str]:
    """Return the addresses that a page asked for over the network."""
    events = [event.get("params", {}) for event in log["events"]]
    asked = [params for params in events if params.get("initiator", BROWSER_ITSELF) != BROWSER_ITSELF]
    return sorted({params["url"] for params in asked if re.match(r"(?!file:|data:|blob:)", params.get("url", "file:"))})


def with_walk(report: Path, script: str, target: Path) -> Path:
    """Copy a page with a script at its end, which leaves what it notes in ``<pre id="walk">``."""
    text = report.read_text(encoding="utf-8")
    head, end, tail = text.rpartition("</body>")
    target.write_text(f"{head}<script>{script}</script>{end}{tail}", encoding="utf-8")
    return target
