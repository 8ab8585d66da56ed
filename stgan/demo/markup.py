"""HTML that the page shows: the picture before and after, and rows of pictures to click.

Gradio's own slider of two pictures cannot be moved by keyboard, and its galleries name neither pictures nor buttons.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from urllib.parse import quote

from PIL import Image

# The divider stays where the visitor put it when the picture changes, and the keyboard stays on the button it pressed.
COMPARE_JS = """
const place = (value) => { element.dataset.at = value; element.style.setProperty('--at', value + '%'); };
element.addEventListener('input', (event) => place(event.target.value));
element.addEventListener('click', (event) => {
    if (!event.target.closest('.full')) return;
    document.fullscreenElement ? document.exitFullscreen() : element.querySelector('figure').requestFullscreen();
});
watch('value', () => {
    const range = element.querySelector('input');
    if (range && element.dataset.at) range.value = element.dataset.at;
});
"""
# What Gradio's own pages lack for those who do not see or point: names of buttons, whether something is unfolded, lists
# around their items, code that the keyboard can scroll. The heading of a message is no button: a button is in it.
REPAIRS_JS = """
const name = (button) => {
    if (button.innerText.trim() || button.title) return;
    button.setAttribute('aria-label', /copy/.test(button.className) ? 'Copy' : 'Close');
};
const repair = () => {
    document.querySelectorAll('button:not([aria-label])').forEach(name);
    for (const accordion of document.querySelectorAll('button.label-wrap'))
        accordion.setAttribute('aria-expanded', accordion.classList.contains('open'));
    document.querySelectorAll('li.snippet').forEach((item) => item.parentElement.setAttribute('role', 'list'));
    document.querySelectorAll('pre:not([tabindex])').forEach((code) => (code.tabIndex = 0));
    for (const heading of document.querySelectorAll('.toast-header[role]'))
        ['role', 'tabindex'].forEach((each) => heading.removeAttribute(each));
};
let due = 0;
new MutationObserver(() => {
    cancelAnimationFrame(due);
    due = requestAnimationFrame(repair);
}).observe(document.body, {childList: true, subtree: true, attributeFilter: ['class']});
"""
TILES_JS = """
let last = null;
element.addEventListener('click', (event) => {
    const button = event.target.closest('button');
    if (!button) return;
    last = button.dataset.index;
    trigger('select', {index: Number(last)});
});
watch('value', () => {
    if (last !== null && document.activeElement === document.body)
        element.querySelector(`[data-index="${last}"]`)?.focus({preventScroll: true});
});
"""


CORNERS = (
    '<svg viewBox="0 0 16 16" fill="none" stroke="currentColor" stroke-width="2" aria-hidden="true">'
    '<path d="M1 5V1h4M11 1h4v4M15 11v4h-4M5 15H1v-4"/></svg>'
)


@dataclass(frozen=True)
class Tile:
    """A picture to click."""

    picture: str  # its address
    caption: str
    pressed: bool = False


def tiles(items: Iterable[Tile]) -> str:
    """Buttons with a picture and its whole caption; :data:`TILES_JS` says which one was clicked."""
    rows = [
        f'<li><button type="button" data-index="{number}" title="{escape(item.caption)}" '
        f'aria-pressed="{str(item.pressed).lower()}">'
        f'<img src="{escape(item.picture)}" alt=""><span>{escape(item.caption)}</span></button></li>'
        for number, item in enumerate(items)
    ]
    return f"<ul>{''.join(rows)}</ul>" if rows else ""


def compare(before: str, after: str, alt_before: str, alt_after: str, divider: str, full_screen: str) -> str:
    """Two pictures of one size, files that Gradio serves, with a divider that pointer and keyboard move."""
    with Image.open(before) as picture:
        width, height = picture.size
    old, new = (escape(address(path)) for path in (before, after))
    return (
        f'<figure style="--ratio:{width / height:.4f}; background-image: url(&quot;{old}&quot;)">'
        f'<img class="after" src="{new}" alt="{escape(alt_after)}">'
        f'<img class="before" src="{old}" alt="{escape(alt_before)}">'
        f'<input type="range" min="0" max="100" value="50" aria-label="{escape(divider)}"><i aria-hidden="true"></i>'
        f'<button type="button" class="full" aria-label="{escape(full_screen)}" '
        f'title="{escape(full_screen)}">{CORNERS}</button>'
        "</figure>"
    )


def address(path: str) -> str:
    """Where the page finds a file of the demo, relative to the page."""
    return f"gradio_api/file={quote(Path(path).as_posix())}"
