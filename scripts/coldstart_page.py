"""Write a page of results, and the README's sentences, from a cold start: python scripts/coldstart_page.py OUT PAGE."""

import re
import shutil
import sys
from pathlib import Path

PICTURE = re.compile(r"^!\[(?P<words>.*)\]\(figures/(?P<file>[\w.]+)\)$", re.MULTILINE)
BEGIN, END = "<!-- cold start: written by scripts/coldstart_page.py -->", "<!-- end of cold start -->"
LEFT_OUT = ("What was done to the telemetry", "Parameters")


def main(out: Path, page: Path) -> None:
    root = Path(__file__).resolve().parent.parent
    text = (out / "report" / "coldstart.md").read_text(encoding="utf-8")
    head, _, body = text.partition("\n")
    pictures = {found["file"]: f"{page.stem}_{number}.png" for number, found in enumerate(PICTURE.finditer(body))}
    for file, name in pictures.items():
        shutil.copy(out / "report" / "figures" / file, root / "docs" / "images" / name)
    body = PICTURE.sub(lambda found: f"![{found['words']}](../images/{pictures[found['file']]})", body)
    said = "Written by `ftl coldstart FLEET --out OUT`; how it is done: [A node's first hours](../coldstart.md)."
    page.write_text(f"{head}\n\n{said}\n{_without(body, LEFT_OUT)}", encoding="utf-8")
    sentences = "\n".join(re.findall(r"(?m)^- \*\*.*$", body.split("\n## ")[1]))
    readme = root / "README.md"
    before, rest = readme.read_text(encoding="utf-8").split(BEGIN)
    readme.write_text(f"{before}{BEGIN}\n\n{sentences}\n\n{END}{rest.split(END)[1]}", encoding="utf-8")


def _without(text: str, headings: tuple[str, ...]) -> str:
    parts = re.split(r"(?m)^(?=## )", text)
    return "".join(part for part in parts if not part.startswith(tuple(f"## {heading}" for heading in headings)))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
