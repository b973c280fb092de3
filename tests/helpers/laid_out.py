"""How a page lies in a browser's window."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:  # it is there where `make browser-test` has brought it
    from playwright.sync_api import Page

_OVERLAPPING = """() => {
  const texts = 'h1,h2,h3,p,td,th,figcaption,svg text,bdi,.card *,nav a,button,input,label';
  const boxes = [...document.querySelectorAll(texts)]
    .filter(e => e.checkVisibility() && ![...e.querySelectorAll('*')].length && e.textContent.trim())
    .map(e => [e, e.getBoundingClientRect()]).filter(([, b]) => b.width && b.height);
  const found = [];
  for (let i = 0; i < boxes.length; i++) for (let j = i + 1; j < boxes.length; j++) {
    const [a, p] = boxes[i], [b, q] = boxes[j];
    if (a.contains(b) || b.contains(a)) continue;
    const across = Math.min(p.right, q.right) - Math.max(p.left, q.left);
    const down = Math.min(p.bottom, q.bottom) - Math.max(p.top, q.top);
    if (across > 2 && down > 4) found.push(a.textContent.trim() + ' | ' + b.textContent.trim());
  }
  return found;
}"""
"""Texts that lie over one another, by the boxes of the elements that hold them."""


def laid_out_well(page: Page) -> None:
    """Hold that the page is no wider than the window, and that no text lies over another."""
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.evaluate(_OVERLAPPING) == []
