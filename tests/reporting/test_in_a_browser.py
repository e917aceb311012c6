"""The page in headless Chromium: phone and desktop, light and dark."""

import json
import re
import shutil
import subprocess

import pytest

# Others have no window narrower than 500 pixels.
PROGRAMS = ("chromium-headless-shell", "chromium", "google-chrome")
PROGRAM = next(filter(None, map(shutil.which, PROGRAMS)), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(PROGRAM is None, reason=f"needs one of {PROGRAMS}"),
]
# Contrasts as WCAG 2.2 defines them, of every text on what is behind it.
LOOK = """
const parse = (text) => {
  const context = parse.context ??= document.createElement("canvas")
    .getContext("2d", {willReadFrequently: true});
  context.clearRect(0, 0, 1, 1);
  context.fillStyle = text;
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data];
};
const light = (rgb) => {
  const [r, g, b] = rgb.slice(0, 3).map((v) => v / 255).map(
    (v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
};
const behind = (element) => {
  for (let e = element; e; e = e.parentElement) {
    const colour = parse(getComputedStyle(e).backgroundColor);
    if (colour[3] === 255) return colour;
  }
  return [255, 255, 255, 255];
};
document.querySelectorAll("details").forEach((d) => { d.open = true; });
let texts = 0;
const faint = [];
const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walker.nextNode()) {
  const parent = walker.currentNode.parentElement;
  if (!walker.currentNode.data.trim() || parent.closest("script, title")) {
    continue;
  }
  const style = getComputedStyle(parent);
  const ink = parent.closest("svg") ? style.fill : style.color;
  const [a, b] = [light(parse(ink)), light(behind(parent))];
  const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  texts += 1;
  if (ratio < 4.5) faint.push([walker.currentNode.data, ratio]);
}
const root = document.documentElement;
const result = {
  width: innerWidth,
  overflow: root.scrollWidth - root.clientWidth,
  background: parse(getComputedStyle(document.body).backgroundColor)[0],
  loaded: performance.getEntriesByType("resource").map((r) => r.name)
    .filter((name) => !name.startsWith("data:")),
  broken: [...document.images].filter((i) => !i.naturalWidth).length,
  texts, faint,
};
document.body.innerHTML = "";
const said = document.createElement("pre");
said.textContent = JSON.stringify(result);
document.body.append(said);
"""


def browse(page, *options):
    result = subprocess.run(
        [
            PROGRAM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--enable-logging=stderr",
            "--dump-dom",
            *options,
            page.as_uri(),
        ],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    console = [line for line in result.stderr.splitlines() if "CONSOLE" in line]
    return result.stdout, console


def look(page, folder, width, *, dark):
    """Load the page with a script that looks at it; return what it saw."""
    text = page.read_text()
    text = re.sub(r'<meta http-equiv="Content-Security-Policy".*?>', "", text)
    watched = folder / "watched.html"
    watched.write_text(
        text.replace("</body>", f"<script>{LOOK}</script></body>")
    )
    dom, _ = browse(
        watched,
        f"--window-size={width},1000",
        f"--blink-settings=preferredColorScheme={0 if dark else 1}",
    )
    return json.loads(re.search(r"<pre>(.*)</pre>", dom, re.DOTALL)[1])


def test_the_console_stays_empty(path):
    dom, console = browse(path)
    assert "</svg>" in dom
    assert not console


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_and_can_be_read(path, tmp_path, width, dark):
    seen = look(path, tmp_path, width, dark=dark)
    assert seen["width"] == width
    assert (seen["background"] < 128) == dark
    assert seen["overflow"] == 0
    assert seen["loaded"] == []
    assert seen["broken"] == 0
    assert seen["texts"] > 300
    assert seen["faint"] == []
