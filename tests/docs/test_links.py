"""Links between documents lead somewhere, and their pictures are there."""

import re
from pathlib import Path

import pytest

from tests.docs.commands import PAGES, ROOT, blocks

LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def text_of(page: Path) -> list[tuple[int, str]]:
    """Lines outside of blocks."""
    inside = {number for block in blocks(page) for number, _ in block.lines}
    lines = page.read_text(encoding="utf-8").splitlines()
    return [(number, line) for number, line in enumerate(lines, start=1) if number not in inside]


def anchors(page: Path) -> set[str]:
    """Of all headings, as the pages of a repository make them."""
    headings = [line.lstrip("#").strip() for _, line in text_of(page) if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_links_and_pictures_of_a_page_are_there(page: str) -> None:
    path = ROOT / page
    broken = []
    for number, line in text_of(path):
        for link in LINK.findall(line):
            if re.match("https?:|mailto:", link):
                continue
            place, _, anchor = link.partition("#")
            target = (path.parent / place).resolve() if place else path
            if not target.exists() or ROOT not in target.parents:
                broken.append(f"{page}:{number}: {link}: no such file")
            elif anchor and anchor not in anchors(target):
                broken.append(f"{page}:{number}: {link}: no such heading")
    assert not broken, "\n".join(broken)


def test_every_page_of_docs_is_reached_from_its_index() -> None:
    index = ROOT / "docs" / "README.md"
    linked = {
        (index.parent / link.partition("#")[0]).resolve() for _, line in text_of(index) for link in LINK.findall(line)
    }
    pages = {ROOT / page for page in PAGES if page.startswith("docs/")} - {index}
    assert not {str(page.relative_to(ROOT)) for page in pages - linked}
