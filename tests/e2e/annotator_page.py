"""Label Studio in a browser, as an annotator sees and uses it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from loop_world import Loop
from playwright.sync_api import Browser, Page, Request

__all__ = ["AnnotatorPage", "Submitted"]

_LOOK_MS = 60_000
_ARROWS_MS = 2_000  # relation arrows are drawn after the text
_SUBMIT = "[data-testid=bottombar-submit-button]"
_SKIP = "[data-testid=bottombar-skip-button]"
_SPANS = """spans => spans.map(span => [
    [...span.classList].find(name => /^htx-highlight-.*-\\d+$/.test(name)), span.textContent])"""

# Where a word stands on the screen: left, right, and the middle of its height.
_BOX = """word => {
    const root = document.querySelector('.htx-highlight').closest('.lsf-htx-richtext');
    const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
        const at = node.data.indexOf(word);
        if (at < 0) continue;
        const range = document.createRange();
        range.setStart(node, at);
        range.setEnd(node, at + word.length);
        const box = range.getBoundingClientRect();
        return [box.left, box.right, box.top + box.height / 2];
    }
}"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """What the editor sent when a button was pressed, and the annotation that came of it."""

    task: int
    annotation: int
    result: list[dict[str, Any]]


@dataclass
class AnnotatorPage:
    """A page of a logged-in annotator; ``crashes`` are the editor's uncaught errors."""

    browser: Browser
    loop: Loop
    crashes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page: Page = self.browser.new_page(viewport={"width": 1500, "height": 900})
        self.page.on("pageerror", lambda error: self.crashes.append(str(error)))
        self.page.goto(f"{self.loop.studio.url}/user/login/")
        self.page.fill("input[name=email]", self.loop.studio.username)
        self.page.fill("input[name=password]", self.loop.studio.password)
        self.page.click("button[type=submit]")
        self.page.wait_for_url(f"{self.loop.studio.url}/")

    def label_all(self) -> int:
        """Press *Label All Tasks* and return the task that is served."""
        self.page.goto(f"{self.loop.studio.url}/projects/{self.loop.number}/data")
        with self.page.expect_response(_is_next_task, timeout=_LOOK_MS) as served:
            self.page.click("button:has-text('Label All Tasks')")
        self.page.wait_for_selector(_SKIP, timeout=_LOOK_MS)
        self.page.wait_for_timeout(_ARROWS_MS)
        return int(served.value.json()["id"])

    def open_task(self, task: int) -> None:
        """Open a task from the list; it must have something highlighted."""
        address = f"{self.loop.studio.url}/projects/{self.loop.number}/data?task={task}"
        self.page.goto(address)
        self.page.wait_for_selector(".htx-highlight", timeout=_LOOK_MS)
        self.page.wait_for_selector(_SUBMIT, timeout=_LOOK_MS)
        self.page.wait_for_timeout(_ARROWS_MS)

    def highlights(self) -> dict[str, str]:
        """Return the highlighted text by region id."""
        found: dict[str, str] = {}
        for name, text in self.page.locator(".htx-highlight").evaluate_all(_SPANS):
            region = re.sub(r"^htx-highlight-(.*)-\d+$", r"\1", name)
            found[region] = found.get(region, "") + text
        return found

    def arrows(self) -> list[str]:
        """Return the labels of the relation arrows."""
        return self.page.locator(".relations-overlay text").all_text_contents()

    def delete_region(self, region: str) -> None:
        """Click a highlight and press Backspace."""
        self.page.locator(f"[class*='htx-highlight-{region}-']").first.click()
        self.page.keyboard.press("Backspace")
        gone = "name => !document.querySelector(`[class*='${name}']`)"
        self.page.wait_for_function(gone, arg=f"htx-highlight-{region}-")

    def relabel_region(self, region: str, *, key: str) -> None:
        """Click a highlight and press another label's key."""
        self.page.locator(f"[class*='htx-highlight-{region}-']").first.click()
        self.page.keyboard.press(key)
        self.page.keyboard.press("Escape")

    def delete_relation(self) -> None:
        """Press the button of the first relation in the panel."""
        n_before = len(self.arrows())
        self.page.locator(".lsf-panel-tabs__tab:visible", has_text="Relations").first.click()
        first = self.page.locator(".lsf-relations__item").first
        first.hover()
        first.locator("button[aria-label='Delete Relation']").click()
        fewer = "n => document.querySelectorAll('.relations-overlay text').length < n"
        self.page.wait_for_function(fewer, arg=n_before)

    def draw_entity(self, word: str, *, key: str) -> None:
        """Press a label's key and drag the mouse over a word of the text."""
        n_before = len(self.highlights())
        left, right, middle = self.page.evaluate(_BOX, word)
        self.page.keyboard.press(key)
        self.page.mouse.move(left + 1, middle)
        self.page.mouse.down()
        self.page.mouse.move((left + right) / 2, middle, steps=4)
        self.page.mouse.move(right - 1, middle, steps=4)
        self.page.mouse.up()
        more = "n => document.querySelectorAll('.htx-highlight').length > n"
        self.page.wait_for_function(more, arg=n_before)
        self.page.keyboard.press("Escape")

    def submit(self) -> Submitted:
        """Press *Submit*."""
        return self._press(_SUBMIT)

    def skip(self) -> Submitted:
        """Press *Skip*."""
        return self._press(_SKIP)

    def photograph(self, path: Path) -> None:
        """Take a screenshot."""
        self.page.screenshot(path=path)

    def _press(self, button: str) -> Submitted:
        with self.page.expect_response(
            lambda answer: _is_annotation(answer.request), timeout=_LOOK_MS
        ) as answer:
            self.page.click(button)
        assert answer.value.status == 201, answer.value.status
        sent = json.loads(answer.value.request.post_data or "{}")
        made = answer.value.json()
        return Submitted(
            task=int(made["task"]), annotation=int(made["id"]), result=list(sent["result"])
        )


def _is_next_task(answer: Any) -> bool:
    return "/api/dm/actions" in answer.url and "id=next_task" in answer.url


def _is_annotation(request: Request) -> bool:
    return request.method == "POST" and bool(re.search(r"/api/tasks/\d+/annotations", request.url))
