"""Write the README's table and picture from the results of make repro: python scripts/readme_table.py."""

import shutil
from pathlib import Path

from ftl.evaluation.headline import overview_sentences
from ftl.evaluation.summary import read_summary
from ftl.reporting.tables import markdown, tables_like_the_paper

BEGIN, END = "<!-- table: written by scripts/readme_table.py from artifacts/summary.csv -->", "<!-- end of table -->"
SHOWN = ["Policy", "N", "Targets", "F1 before", "F1 after", "ΔF1 [95 % CI]", "d", "p (Holm)"]
CONTROL = "ΔF1 vs local_long [95 % CI]"


def main() -> None:
    root = Path(__file__).resolve().parent.parent
    summary = read_summary(root / "artifacts" / "summary.csv")
    parts = []
    for (dataset, paradigm), table in tables_like_the_paper(summary).items():
        parts.append(f"**{dataset} (simulated), {paradigm}**\n\n{markdown(table[[*SHOWN, CONTROL]])}")
    parts.append("\n".join(f"- {sentence}" for sentence in overview_sentences(summary)))
    readme = root / "README.md"
    head, rest = readme.read_text(encoding="utf-8").split(BEGIN)
    tail = rest.split(END)[1]
    readme.write_text(f"{head}{BEGIN}\n\n" + "\n\n".join(parts) + f"\n\n{END}{tail}", encoding="utf-8")
    images = root / "docs" / "images"
    images.mkdir(parents=True, exist_ok=True)
    shutil.copy(root / "artifacts/report/figures/delta_f1_d1_rigorous.png", images / "delta_f1_d1.png")


if __name__ == "__main__":
    main()
