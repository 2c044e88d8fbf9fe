"""The page of ``rsparse view`` in a real browser."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rsparse.viewer.server import ViewServer
from tests.browser import Seen, chromium, watch
from tests.evaluations import make_eval_folder, make_evaluation
from tests.versions import NAMES, serving, write_all, write_photos

HOSTILE = "<img src=x onerror=alert(1)>"
MANY = 10_000
SCROLL = """async () => {
  let most = 0;
  for (let step = 1; step <= 100; step++) {
    scrollTo(0, (step / 100) * document.body.scrollHeight);
    await new Promise(requestAnimationFrame);
    most = Math.max(most, document.querySelectorAll("#grid li").length);
  }
  return most;
}"""
"""Scrolls from top to bottom in 100 frames; the result is the largest number of cards."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ViewServer]:
    with serving(write_all(tmp_path_factory.mktemp("page"), (*NAMES, HOSTILE))) as running:
        yield running


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ViewServer]:
    """Ten thousand images, all links to one file."""
    folder = write_photos(tmp_path_factory.mktemp("many") / "photos", ("0/000000",))
    for number in range(1, MANY):
        place = folder / f"{number // 1000}" / f"{number:06d}.png"
        place.parent.mkdir(exist_ok=True)
        os.link(folder / "0/000000.png", place)
    with serving([folder]) as running:
        yield running


@pytest.fixture
def seen(browser: Any, server: ViewServer) -> Iterator[Seen]:
    seen = opened(browser, server)
    yield seen
    seen.page.close()


def opened(browser: Any, server: ViewServer, **options: Any) -> Seen:
    """Open the page, and wait until its first images are there."""
    seen = watch(browser, server.address, **options)
    until(seen, "document.querySelector('#grid img')?.complete")
    return seen


def until(seen: Seen, condition: str, argument: Any = None) -> None:
    """Wait for a condition in the page, whose policy keeps the browser from evaluating it there."""
    deadline = time.monotonic() + 30
    while not seen.page.evaluate(condition, argument):
        assert time.monotonic() < deadline, condition
        time.sleep(0.02)


def open_image(seen: Seen, place: int = 0) -> Any:
    """Open an image, and return the dialog."""
    seen.page.locator("#grid button").nth(place).click()
    seen.page.locator("#content h2").wait_for()
    until(seen, "[...document.querySelectorAll('#content img')].every(i => i.complete)")
    return seen.page.locator("dialog")


def heading(seen: Seen) -> str:
    return str(seen.page.locator("#content h2").text_content())


def test_it_asks_only_its_own_server(seen: Seen, server: ViewServer) -> None:
    open_image(seen)
    assert seen.complaints == []
    foreign = [url for url in seen.requests if not url.startswith((server.address, "data:"))]
    assert foreign == []


def test_hostile_names_are_only_text(seen: Seen) -> None:
    card = seen.page.locator("#grid button", has_text=HOSTILE)
    card.click()
    until(seen, "document.querySelector('#content h2')")
    assert heading(seen).startswith(HOSTILE)
    assert seen.page.locator("img[onerror], img[src='x']").count() == 0
    assert seen.complaints == []


def test_filters_and_words_choose_images(seen: Seen) -> None:
    count, cards = seen.page.locator("#count"), seen.page.locator("#grid .name")
    assert count.text_content() == "5 images"
    seen.page.get_by_label("Show", exact=True).select_option("lost")
    until(seen, "document.querySelector('#count').textContent === '4 of 5 images'")
    seen.page.get_by_label("Find").fill("dog")
    until(seen, "document.querySelector('#count').textContent === '2 of 5 images'")
    cards.first.wait_for()
    assert cards.all_text_contents() == ["dog/01", "dog/02"]
    seen.page.get_by_label("Find").fill("no such image")
    seen.page.get_by_text("No image is like this.").wait_for()


def test_a_box_hides_a_version(seen: Seen) -> None:
    first = seen.page.locator("#grid button").first
    assert first.locator("img").count() == 3
    seen.page.locator("#columns").get_by_label("purified").uncheck()
    until(seen, "document.querySelectorAll('#grid li:first-child img').length === 2")


def test_the_slider_uncovers_the_other_picture(seen: Seen) -> None:
    dialog = open_image(seen, 1)
    slider, frame = dialog.locator("input[type=range]"), dialog.locator(".frame")
    shots = []
    for key in ("Home", "End"):
        slider.focus()
        seen.page.keyboard.press(key)
        shots.append(frame.screenshot())
    assert shots[0] != shots[1]
    assert heading(seen).startswith("cat/01")  # the keys moved the slider, not the list


def test_any_two_pictures_can_be_compared(seen: Seen) -> None:
    dialog = open_image(seen, 1)
    dialog.get_by_label("Right").select_option("adv − photos, ×10")
    shown = dialog.locator(".frame img").nth(1)
    assert "difference?before=0&version=1" in str(shown.get_attribute("src"))
    until(seen, "document.querySelectorAll('.frame img')[1].naturalWidth === 40")


def test_the_keyboard_is_enough(seen: Seen) -> None:
    seen.page.locator("#grid button").first.focus()
    for key in ("ArrowRight", "ArrowRight", "Enter"):
        seen.page.keyboard.press(key)
    names = sorted((*NAMES, HOSTILE))
    until(seen, "document.querySelector('#content h2')")
    assert heading(seen).startswith(names[2])
    for key, place in (("ArrowRight", 3), ("ArrowLeft", 2), ("ArrowLeft", 1)):
        seen.page.keyboard.press(key)
        until(
            seen,
            "name => document.querySelector('#content h2').textContent.startsWith(name)",
            names[place],
        )
    seen.page.keyboard.press("Escape")
    assert not seen.page.locator("dialog").is_visible()
    until(seen, "name => document.activeElement.textContent.includes(name)", names[1])


def test_an_image_has_its_history(seen: Seen) -> None:
    dialog = open_image(seen, 1)
    dialog.locator("summary", has_text="purified").first.click()
    assert dialog.get_by_text("which is that of adv").is_visible()
    assert dialog.get_by_text("purify, rsparse-images by rsparse").first.is_visible()


def test_attacks_and_defenses_are_chosen(browser: Any, tmp_path: Path) -> None:
    evaluation = make_evaluation(
        6, defenses=(("none", "none"), ("median-size=3", "median"), ("jpeg-quality=75", "jpeg"))
    )
    with serving([make_eval_folder(tmp_path / "eval", evaluation)]) as server:
        seen = opened(browser, server)
        first = seen.page.locator("#grid button").first
        first.get_by_text("attacked, cleaned: ").wait_for()
        seen.page.get_by_label("Attack", exact=True).select_option("gray-box: bim-eps=22")
        seen.page.get_by_label("Defense").select_option("jpeg-quality=75")
        until(seen, "document.querySelector('#grid img')?.src.includes('chosen=11&chosen=1&')")
        dialog = open_image(seen)
        assert dialog.locator(".tiles b").all_text_contents()[:4] == [
            "benign", "attacked", "attacked, cleaned", "benign, cleaned",
        ]  # fmt: skip
        assert seen.complaints == []
        seen.page.close()


def test_it_says_when_the_program_has_ended(browser: Any, server: ViewServer) -> None:
    seen = opened(browser, server)
    seen.page.context.set_offline(True)
    seen.page.locator("#grid button").first.click()
    seen.page.locator("#content").get_by_text("The program has ended").wait_for()
    seen.page.keyboard.press("Escape")
    seen.page.get_by_label("Find").fill("cat")
    seen.page.locator("#count").get_by_text("The program has ended").wait_for()
    seen.page.close()


@pytest.mark.slow
def test_ten_thousand_images_keep_few_cards_and_thumbnails(browser: Any, large: ViewServer) -> None:
    seen = opened(browser, large)
    page, made = seen.page, large.site.pictures
    assert page.locator("#count").text_content() == "10000 images"
    assert page.evaluate(SCROLL) < 200
    page.locator("#grid .name", has_text="9/009999").wait_for()
    assert made.thumbnails_made < 1000
    first = page.locator("#grid li").first
    assert int(first.get_attribute("aria-setsize") or 0) == MANY
    page.locator("#grid button").last.focus()
    page.keyboard.press("Home")
    page.locator("#grid .name", has_text="0/000000").wait_for()
    assert page.evaluate("scrollY") < 200
    assert page.evaluate("document.querySelectorAll('#grid li').length") < 200
    assert seen.complaints == []
    page.close()


@pytest.mark.slow
def test_a_list_too_tall_for_a_browser_can_be_scrolled(browser: Any, large: ViewServer) -> None:
    seen = opened(browser, large)
    seen.page.evaluate("Grid.TALLEST = 20000; list()")
    until(seen, "document.querySelector('#grid').clientHeight === 20000")
    seen.page.locator("#grid button[tabindex='0']").focus()
    for key, name in (("End", "9/009999"), ("Home", "0/000000")):
        seen.page.keyboard.press(key)
        seen.page.locator("#grid .name", has_text=name).wait_for()
        until(seen, "name => document.activeElement.textContent.includes(name)", name)
        place = seen.page.locator("#grid button:focus").bounding_box()
        assert -1 <= place["y"] <= 900 - place["height"] + 40
    seen.page.close()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_axe_finds_no_fault(browser: Any, server: ViewServer, scheme: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    seen = opened(browser, server, scheme=scheme, width=width)
    found = []
    for is_open in (False, True):
        if is_open:
            open_image(seen, 1)
        seen.page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
        found += axe.Axe().run(seen.page).response["violations"]
    seen.page.close()
    assert [(f["id"], f["nodes"][0]["html"], len(f["nodes"])) for f in found] == []


@pytest.mark.parametrize("width", [390, 320])
def test_nothing_is_wider_than_a_phone(browser: Any, server: ViewServer, width: int) -> None:
    seen = opened(browser, server, width=width)
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= width
    open_image(seen, 1)
    assert seen.page.evaluate("document.querySelector('dialog').scrollWidth") <= width
    seen.page.close()
