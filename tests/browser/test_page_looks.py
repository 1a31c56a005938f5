"""The page at `/`: what it shows, in which language, and that everybody can read and use it."""

from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.tab import OpenTab, broadcast


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(2)>",
        '"><svg onload=alert(3)>',
        "<a href='javascript:alert(4)'>x</a>",
        "{{constructor.constructor('alert(5)')()}}",
    ],
)
def test_markup_in_a_message_and_in_a_name_stays_text(
    anmei: Callable[..., Any], open_tab: OpenTab, text: str
) -> None:
    server = anmei()
    ada, bob = open_tab(server).sign_in(text), open_tab(server).sign_in("Bob")

    ada.say(text)

    bob.sees(text)
    expect(bob.page.locator("#messages .who")).to_have_text(text)
    expect(bob.page.locator(".people li").filter(has_text=text)).to_have_count(1)
    assert bob.page.locator("#messages :is(script, img, svg, a)").count() == 0


def test_enter_that_ends_a_chinese_composition_does_not_send(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    server = anmei()
    ada, bob = open_tab(server).sign_in("阿达"), open_tab(server).sign_in("Bob")
    keyboard = ada.context.new_cdp_session(ada.page)
    ada.page.focus("#text")
    keyboard.send(
        "Input.imeSetComposition", {"text": "nihao", "selectionStart": 5, "selectionEnd": 5}
    )
    keyboard.send(
        "Input.dispatchKeyEvent",
        {"type": "rawKeyDown", "key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 229},
    )
    assert ada.page.locator("#messages .text").count() == 0

    keyboard.send("Input.insertText", {"text": "你好，世界 😀"})
    assert ada.page.input_value("#text") == "你好，世界 😀"
    ada.page.press("#text", "Enter")

    bob.sees("你好，世界 😀")
    expect(bob.page.locator("#messages .who")).to_have_text("阿达")
    assert bob.texts == ["你好，世界 😀"]


def test_shift_enter_begins_a_new_line(anmei: Callable[..., Any], open_tab: OpenTab) -> None:
    ada = open_tab(anmei()).sign_in("Ada")
    ada.page.locator("#text").press_sequentially("one")
    ada.page.press("#text", "Shift+Enter")
    ada.page.locator("#text").press_sequentially("two")
    ada.page.press("#text", "Enter")
    expect(ada.page.locator("#messages .text")).to_have_text("one\ntwo")
    assert ada.texts == ["one\ntwo"]


def test_the_page_speaks_the_language_of_the_browser_and_the_other_one_on_request(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    ada = open_tab(anmei(), locale="zh-CN")
    expect(ada.page.locator("html")).to_have_attribute("lang", "zh-CN")
    expect(ada.page.locator("#enter")).to_have_text("开始聊天")
    ada.sign_in("阿达")
    expect(ada.page.locator("#connection-text")).to_have_text("已连接")

    ada.page.click(".bar .language")

    expect(ada.page.locator("#connection-text")).to_have_text("Connected")
    ada.page.reload()
    expect(ada.page.locator("#connection-text")).to_have_text("Connected")


def test_the_protocol_panel_shows_the_latest_frames_and_no_token(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    ada = open_tab(anmei()).sign_in("Ada")
    for number in range(30):
        ada.say(f"message {number}")
    expect(ada.mark("message 29")).to_have_attribute("data-state", "sent")

    ada.page.click("#inspector summary")

    expect(ada.page.locator("#frames li")).to_have_count(50)
    types = set(ada.page.locator("#frames strong").all_text_contents())
    assert {"send_message", "ack", "new_message"} <= types
    # Scrolled to its end, the panel shows the last line whole, above where it fades out.
    below = ada.page.locator(".inspector").evaluate(
        """panel => {
            panel.scrollTop = panel.scrollHeight;
            const last = panel.querySelector('#frames li:last-child').getBoundingClientRect();
            return panel.getBoundingClientRect().bottom - last.bottom;
        }"""
    )
    assert below > 27  # 28 pixels, but for what a browser rounds when it scrolls
    token = ada.page.evaluate("JSON.parse(sessionStorage['anmei.session']).token")
    assert token not in ada.page.content()


@pytest.mark.parametrize("width", [320, 360, 1280])
def test_only_the_messages_scroll_and_nothing_sideways_on_a_screen_of_any_width(
    anmei: Callable[..., Any], open_tab: OpenTab, width: int
) -> None:
    server = anmei()
    ada = open_tab(server, width=width, height=740)
    fits = "document.documentElement.scrollWidth <= document.documentElement.clientWidth"
    assert ada.page.evaluate(fits)
    ada.sign_in("A name that is too long for a narrow screen " + "W" * 18)
    ada.say("x" * 400)
    ada.say("https://example.com/" + "path/" * 60)
    expect(ada.mark("x" * 400)).to_have_attribute("data-state", "sent")

    assert ada.page.evaluate(fits)
    inside = "box => box.scrollWidth <= box.clientWidth"
    assert ada.page.locator("#scroller").evaluate(inside)
    # The messages scroll, and the page around them stands still.
    tall = "scroller => scroller.scrollHeight > scroller.clientHeight"
    for number in range(3):
        ada.say(f"line {number}\n" * 12)
    expect(ada.page.locator("#messages .text")).to_have_count(5)
    assert ada.page.locator("#scroller").evaluate(tall)
    assert ada.page.evaluate(
        "document.documentElement.scrollHeight <= document.documentElement.clientHeight"
    )
    if width < 720:
        expect(ada.page.locator("#side")).to_be_hidden()
        ada.page.click("#menu")
        expect(ada.page.locator("#people li").first).to_be_visible()
    assert ada.page.locator("#side").evaluate(inside)
    if width < 720:
        # What lies over the room does not hide what the keyboard goes on to.
        ada.page.press("#sign-out", "Tab")
        expect(ada.page.locator("#on-top")).to_be_focused()
        expect(ada.page.locator("#side")).to_be_hidden()


def test_every_field_button_link_and_picture_has_a_name(
    anmei: Callable[..., Any], open_tab: OpenTab
) -> None:
    tab = open_tab(anmei())
    assert tab.page.evaluate(UNNAMED) == []
    tab.sign_in("Ada")
    tab.say("Hello")
    expect(tab.mark("Hello")).to_have_attribute("data-state", "sent")

    assert tab.page.evaluate(UNNAMED) == []
    assert tab.page.locator("#announcer").get_attribute("aria-live") == "polite"
    ids = tab.page.evaluate("[...document.querySelectorAll('[id]')].map((element) => element.id)")
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground_by_4_5_to_1(
    anmei: Callable[..., Any], open_tab: OpenTab, scheme: str
) -> None:
    server = anmei()
    ada = open_tab(server, color_scheme=scheme)
    assert ada.page.evaluate(FAINT) == []
    ada.sign_in("Ada")
    bob = open_tab(server).sign_in("Bob")
    bob.say("Hello")
    ada.say("Hello yourself")
    ada.say("x" * 70_000)
    expect(ada.page.locator("#refusal")).to_contain_text("65,536")
    ada.page.evaluate("document.getElementById('text').value = 'a\\0b'")
    ada.page.press("#text", "Enter")
    expect(ada.page.locator(".message.failed")).to_be_visible()
    for kind in ("error", "info", "success"):
        broadcast(server, kind)
    expect(ada.page.locator(".notice")).to_have_count(3)
    expect(ada.mark("Hello yourself")).to_have_attribute("data-state", "read")
    ada.page.click("#inspector summary")

    assert ada.page.evaluate(FAINT) == []
    for kind in ("warning", "urgent"):
        broadcast(server, kind)
    expect(ada.page.locator(".notice").last).to_contain_text("urgent")
    assert ada.page.evaluate(FAINT) == []
    server.kill9()
    expect(ada.page.locator("#banner")).to_be_visible()
    ada.say("waits")
    assert ada.page.evaluate(FAINT) == []


# Controls and pictures that are shown and that assistive technology could not call by any name.
UNNAMED = """() => {
    const named = (element) =>
        element.getAttribute('aria-label') || element.textContent.trim() ||
        [...(element.labels ?? [])].some((label) => label.textContent.trim()) ||
        (element.tagName === 'IMG' && element.hasAttribute('alt'));
    return [...document.querySelectorAll('button, input, textarea, select, a, img, [role=img]')]
        .filter((element) => element.checkVisibility() && !named(element))
        .map((element) => element.outerHTML);
}"""


# Texts that are shown with less than 4.5:1 against the first ground behind them (WCAG 2.2, 1.4.3).
FAINT = """() => {
    const numbers = (colour) => colour.match(/[\\d.]+/g).map(Number);
    const over = (top, under) => {
        const alpha = top[3] ?? 1;
        return [0, 1, 2].map((i) => top[i] * alpha + under[i] * (1 - alpha));
    };
    const light = (rgb) => {
        const [r, g, b] = rgb.map((value) => {
            const part = value / 255;
            return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ground = (element) => {
        const layers = [];
        for (let at = element; at; at = at.parentElement) {
            const colour = numbers(getComputedStyle(at).backgroundColor);
            layers.push(colour);
            if ((colour[3] ?? 1) === 1) break;
        }
        return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
    };
    // What is drawn through an opacity is paler than its colour says.
    const opacity = (element) => {
        let product = 1;
        for (let at = element; at; at = at.parentElement) product *= getComputedStyle(at).opacity;
        return product;
    };
    const faint = [];
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const element = walker.currentNode.parentElement;
        if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
        if (element.closest('.unseen, [aria-hidden=true], :disabled')) continue;
        const behind = ground(element);
        const colour = numbers(getComputedStyle(element).color);
        const front = over([...colour.slice(0, 3), (colour[3] ?? 1) * opacity(element)], behind);
        const [a, b] = [light(front), light(behind)].sort((x, y) => y - x);
        const contrast = (a + 0.05) / (b + 0.05);
        if (contrast < 4.5) {
            faint.push(`${contrast.toFixed(2)} ${element.className || element.tagName}`
                + `: ${walker.currentNode.data.trim().slice(0, 40)}`);
        }
    }
    return [...new Set(faint)];
}"""
