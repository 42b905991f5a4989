import pandas as pd
import pytest

from ftl.reporting.blocks import Bullets, Code, Fold, Notice, Paragraph, ReportTable, Section
from ftl.reporting.markdown_page import markdown_page
from ftl.reporting.page import breakable, heading, inline, is_number_column, page

CELLS = pd.DataFrame({"Arm": ["a|b", "c"], "ΔF1 [95 % CI]": ["+0.1", "-"]})
TABLE = ReportTable("some", "A caption of d1.", CELLS, pd.DataFrame(), "Aside.")
BLOCKS = (
    Paragraph("Plain `word` and **bold** <b>."),
    Bullets(("one", "two")),
    Notice("Careful", ("R = 1",)),
    Fold("More", (TABLE, Code("a: 1\n", "yaml"))),
)
SECTIONS = [Section("first", "First & foremost", BLOCKS)]


def test_marks_are_shown_and_everything_else_is_escaped():
    assert inline("`a<b` **c** <i>") == "<code>a&lt;b</code> <b>c</b> &lt;i&gt;"


def test_the_bracket_of_a_heading_stays_on_one_line():
    assert heading("ΔF1 vs local [95 % CI]") == "ΔF1 vs local [95\N{NO-BREAK SPACE}%\N{NO-BREAK SPACE}CI]"


@pytest.mark.parametrize(
    ("cells", "is_number"),
    [(["+0.1 [0, 1]", "-", "<0.0001"], True), (["3 of 5 nodes"], True), (["0.1", "top_n"], False), ([], True)],
)
def test_columns_of_numbers_are_known_by_how_their_cells_begin(cells, is_number):
    assert is_number_column(cells) is is_number


def test_every_block_has_its_place_in_the_page():
    html = page("A title", SECTIONS)
    assert "<p>Plain <code>word</code> and <b>bold</b> &lt;b&gt;.</p>" in html
    assert "<li>two</li>" in html
    assert '<div class="notice" role="note"><b>Careful</b>' in html
    assert "<details><summary>More</summary>" in html
    assert '<p class="caption">A caption of d1.</p>' in html
    assert '<p class="note">Aside.</p>' in html
    assert '<a href="#first">First &amp; foremost</a>' in html
    assert '<td class="words">a|b</td><td>+0.1</td>' in html


def test_a_caption_is_not_repeated_under_its_own_fold():
    folded = Section("x", "X", (Fold(TABLE.caption, (TABLE,)),))
    assert page("T", [folded]).count(TABLE.caption) == 1


def test_every_block_has_its_place_in_markdown():
    text = markdown_page("A title", SECTIONS, {})
    assert text.startswith("# A title\n\n## First & foremost\n\nPlain `word`")
    assert "> **Careful**\n>\n> - R = 1\n" in text
    assert "<details><summary>More</summary>\n\n**A caption of d1.**\n\n| Arm | ΔF1 [95 % CI] |\n" in text
    assert "| a\\|b | +0.1 |" in text
    assert "```yaml\na: 1\n```" in text


def test_long_names_may_break_after_an_underscore_and_stay_escaped():
    assert str(breakable("a_b<c>")) == "a_<wbr>b&lt;c&gt;"
