import re

import pandas as pd
import pytest

from ftl.reporting.blocks import ReportTable, tables_in
from ftl.reporting.latex import latex_tables, latex_text
from ftl.reporting.sections import sections_of
from tests.reporting.synthetic_run import synthetic_run


@pytest.fixture(scope="module")
def written():
    run = synthetic_run(n_nodes=5, n_participants=(2,), seeds=(0,), datasets=("d_1",))
    return latex_tables(table for section in sections_of(run, []) for table in tables_in(section.blocks))


def table_of(number, *rows):
    shown = pd.DataFrame(list(rows))
    return ReportTable("some_name", f"Table {number}: 100 % of d_1.", shown, shown, number=number)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("top_n & 5 % #1 $2 {x}", r"top\_n \& 5 \% \#1 \$2 \{x\}"),
        ("a\\b~c^d", r"a\textbackslash{}b\textasciitilde{}c\textasciicircum{}d"),
        ("+0.44* [+0.40, <0.0001]", r"+0.44$^{*}$ {[}+0.40, $<$0.0001{]}"),
        ("ΔF1 ±0.02 \N{PILE OF POO}", r"$\Delta$F1 $\pm$0.02 ?"),
    ],
)
def test_special_signs_are_shown_as_they_are(text, shown):
    assert latex_text(text) == shown


def test_only_the_papers_tables_are_written_in_their_order():
    tables = [table_of(number, {"Policy": "top_n", "N": "3"}) for number in (7, None, 2)]
    captions = re.findall(r"\\caption\{(.*)\}", latex_tables(tables))
    assert captions == [r"Table 2: 100 \% of d\_1.", r"Table 7: 100 \% of d\_1."]


def test_every_row_has_as_many_cells_as_there_are_columns(written):
    tabulars = re.findall(r"\\begin\{tabular\}\{@\{\}([lr]+)@\{\}\}(.*?)\\end\{tabular\}", written, re.DOTALL)
    assert len(tabulars) >= 10
    for columns, body in tabulars:
        rows = [line for line in body.splitlines() if line.endswith(r" \\")]
        assert len(rows) >= 2
        for row in rows:
            assert len(re.findall(r"(?<!\\)&", row)) == len(columns) - 1


def test_all_of_tables_2_to_7_are_there_and_what_is_opened_is_closed(written):
    assert {int(number) for number in re.findall(r"caption\{Table (\d)", written)} == {2, 3, 4, 5, 6, 7}
    bare = re.sub(r"\\[{}%]", "", re.sub(r"(?m)^%.*$", "", written))
    assert bare.count("{") == bare.count("}")
    for name in ("table", "tabular"):
        assert written.count(rf"\begin{{{name}}}") == written.count(rf"\end{{{name}}}")
    labels = re.findall(r"\\label\{(.*)\}", written)
    assert len(labels) == len(set(labels))
    assert re.sub(r"(?m)^%.*$", "", written).isascii()
