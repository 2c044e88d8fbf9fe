"""The report's page in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rsparse.commands.report.writing import write_report
from rsparse.options.report import ReportParameters
from tests.browser import Seen, chromium, look
from tests.conftest import REPOSITORY
from tests.evaluations import make_eval_folder, make_evaluation

FIXTURES = REPOSITORY / "fixtures"
HOSTILE = "<img src=x onerror=alert(1)>"
NAMES = (
    "astronaut/00",
    "b'\"&rick",
    HOSTILE,
    "co\nffee",
    "flower/00",
    "z/</script><script>alert(2)",
)
DEFENSES = (
    ("none", "none"),
    ("regionsparse-sparsity=2", "regionsparse"),
    ("regionsparse-localize=no", "regionsparse"),
    ("jpeg-quality=75", "jpeg"),
    ("median-size=3", "median"),
)


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with pictures, attention and activation, for images with hostile names."""
    folder = tmp_path_factory.mktemp("report")
    dictionary, model = FIXTURES / "dict.h5", FIXTURES / "colours.onnx"
    evaluation = make_evaluation(names=NAMES, defenses=DEFENSES)
    make_eval_folder(folder / "eval", evaluation, [dictionary, model])
    outcome = write_report(
        folder / "eval", folder / "report",
        ReportParameters(sheet_images=6, attention_images=2, activation_images=2),
        dictionaries={"": dictionary}, model=model,
    )  # fmt: skip
    assert outcome.left_out == []
    return outcome.main


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as opened:
        yield opened


@pytest.fixture
def seen(browser: Any, page_file: Path) -> Iterator[Seen]:
    seen = look(browser, page_file)
    yield seen
    seen.page.close()


def test_it_loads_nothing_and_logs_no_errors(seen: Seen, page_file: Path) -> None:
    assert [url for url in seen.requests if not url.startswith("data:")] == [page_file.as_uri()]
    assert seen.complaints == []


def test_hostile_names_are_only_text(seen: Seen) -> None:
    assert seen.page.locator("img[src='x'], img[onerror]").count() == 0
    assert seen.page.locator("script").count() == 1
    assert seen.page.locator("#image-table").get_by_text(HOSTILE, exact=True).count() == 1


def column_of(seen: Seen, place: int) -> list[str]:
    cells = f"#image-table tbody tr > :nth-child({place + 1})"
    return seen.page.locator(cells).evaluate_all("cells => cells.map(c => c.dataset.order)")


def test_the_table_sorts_by_mouse_and_keyboard(seen: Seen) -> None:
    heads = seen.page.locator("#image-table thead th")
    number = heads.nth(heads.count() - 1)
    number.locator("button").click()
    found = [float(order) for order in column_of(seen, heads.count() - 1)]
    assert found == sorted(found)
    assert number.get_attribute("aria-sort") == "ascending"
    number.locator("button").focus()
    seen.page.keyboard.press("Enter")
    assert [float(o) for o in column_of(seen, heads.count() - 1)] == sorted(found, reverse=True)
    assert number.get_attribute("aria-sort") == "descending"
    heads.nth(0).locator("button").click()
    assert column_of(seen, 0) == sorted(column_of(seen, 0))
    assert number.get_attribute("aria-sort") == "none"


def test_the_table_filters(seen: Seen) -> None:
    seen.page.get_by_label("Filter").fill("onerror")
    assert seen.page.locator("#image-table tbody tr:visible").count() == 1
    assert seen.page.locator("#image-table-count").text_content() == "1 of 6 images"
    seen.page.get_by_label("Filter").fill("")
    assert seen.page.locator("#image-table tbody tr:visible").count() == 6


def test_the_slider_uncovers_the_other_picture(seen: Seen) -> None:
    first = seen.page.locator(".compare").first
    slider, frame = first.locator("input"), first.locator(".frame")
    shots = []
    for key in ("Home", "End"):
        slider.focus()
        seen.page.keyboard.press(key)
        shots.append(frame.screenshot())
    assert shots[0] != shots[1]
    assert slider.get_attribute("aria-valuetext") == "100 % adversarial"


@pytest.mark.parametrize("width", [1280, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault(browser: Any, page_file: Path, scheme: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    seen = look(browser, page_file, scheme=scheme, width=width)
    seen.page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    found = axe.Axe().run(seen.page).response["violations"]
    seen.page.close()
    serious = [fault for fault in found if fault["impact"] in ("serious", "critical")]
    assert [(f["id"], f["nodes"][0]["html"], len(f["nodes"])) for f in serious] == []


@pytest.mark.parametrize(("width", "media"), [(390, "screen"), (320, "screen"), (718, "print")])
def test_nothing_is_wider_than_the_page(
    browser: Any, page_file: Path, width: int, media: str
) -> None:
    seen = look(browser, page_file, width=width)
    seen.page.emulate_media(media=media)
    seen.page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    wide = seen.page.evaluate("document.documentElement.scrollWidth")
    seen.page.close()
    assert wide <= width


def test_dark_is_dark_and_paper_is_white(browser: Any, page_file: Path) -> None:
    seen = look(browser, page_file, scheme="dark")
    color = "getComputedStyle(document.body).backgroundColor"
    assert seen.page.evaluate(color) == "rgb(20, 22, 26)"
    seen.page.emulate_media(media="print")
    assert seen.page.evaluate(color) == "rgb(255, 255, 255)"
    seen.page.close()


CONTROLS = "button, input, select, [role=button], .cue, .tip"


def test_without_scripts_there_are_no_dead_controls(browser: Any, page_file: Path) -> None:
    seen = look(browser, page_file, scripts=False)
    assert seen.page.locator(CONTROLS).count() == 0
    left, right = (seen.page.locator(".frame img").nth(n).bounding_box() for n in (0, 1))
    assert left["x"] + left["width"] <= right["x"]
    assert left["y"] == right["y"]
    seen.page.close()


def test_pictures_are_filtered_by_outcome(seen: Seen) -> None:
    items = seen.page.locator("[data-outcome]")
    outcomes = items.evaluate_all("items => items.map(item => item.dataset.outcome)")
    assert set(outcomes) <= {"recovered", "still wrong", "right anyway", "lost by cleaning"}
    buttons = seen.page.get_by_role("group", name="Pictures by outcome").get_by_role("button")
    assert buttons.count() == 1 + len(set(outcomes))
    for outcome in set(outcomes):
        button = buttons.filter(has_text=f"{outcome} ({outcomes.count(outcome)})")
        button.click()
        assert button.get_attribute("aria-pressed") == "true"
        shown = seen.page.locator("[data-outcome]:visible")
        assert shown.count() == outcomes.count(outcome)
        empty = "parts => parts.filter(p => !p.querySelector('[data-outcome]:not([hidden])'))"
        parts = seen.page.locator("[data-part]:visible")
        assert parts.evaluate_all(f"parts => ({empty})(parts).length") == 0
    buttons.first.click()
    assert seen.page.locator("[data-outcome]:visible").count() == len(outcomes)


def test_a_table_says_that_it_goes_on_until_its_end(browser: Any, page_file: Path) -> None:
    seen = look(browser, page_file, width=390)
    box, cue = (seen.page.locator(f"#defenses .{name}").first for name in ("scroll", "cue"))
    head = box.locator("thead th").first
    place = head.bounding_box()
    assert cue.is_visible()
    assert "gradient" in box.evaluate("box => getComputedStyle(box).maskImage")
    box.evaluate("box => box.scrollTo(box.scrollWidth, 0)")
    seen.page.wait_for_function("document.querySelector('#defenses .cue.done') !== null")
    assert not cue.is_visible()
    assert box.evaluate("box => getComputedStyle(box).maskImage") == "none"
    assert head.bounding_box() == place  # the first column stays
    seen.page.set_viewport_size({"width": 1280, "height": 900})
    seen.page.wait_for_function("document.querySelector('#defenses .cue').hidden")
    seen.page.close()


def test_a_point_of_a_chart_says_its_numbers(seen: Seen) -> None:
    figure = seen.page.locator("#strength figure").first
    point = figure.locator(".tips circle").last
    text = point.get_attribute("data-tip")
    assert text.startswith("regionsparse-sparsity=2, ε 22: ")
    tip = seen.page.locator(".tip")
    assert not tip.is_visible()
    point.scroll_into_view_if_needed()
    seen.page.wait_for_timeout(100)  # a scrolled page hides the tip
    point.hover()
    assert tip.text_content() == text
    assert tip.is_visible()
    seen.page.mouse.move(0, 0)
    assert not tip.is_visible()
    figure.locator("summary").click()
    row = figure.locator("tr", has_text="regionsparse-sparsity=2").locator("td").last
    share, interval = text.split(": ")[1].split(" % ")[0], text.split("(")[1].rstrip(")")
    assert row.text_content().split() == [f"{share}{interval.split()[0]}", "%"]


def test_a_whole_evaluation_is_four_pages_of_paper(browser: Any, tmp_path: Path) -> None:
    """12 defenses, 22 attacks of four kinds, both attackers, pictures and 40 checks."""
    dictionary, model = FIXTURES / "dict.h5", FIXTURES / "colours.onnx"
    evaluation = make_evaluation(24, transfer=False, adaptive=True)
    evaluation = replace(evaluation, checks=10 * evaluation.checks)
    make_eval_folder(tmp_path / "eval", evaluation, [dictionary, model])
    outcome = write_report(
        tmp_path / "eval", tmp_path / "report", ReportParameters(),
        dictionaries={"": dictionary}, model=model,
    )  # fmt: skip
    seen = look(browser, outcome.main)
    for size in ("A4", "Letter"):
        paper = seen.page.pdf(format=size)
        assert 2 <= len(re.findall(rb"/Type\s*/Page\b", paper)) <= 4
    seen.page.close()
