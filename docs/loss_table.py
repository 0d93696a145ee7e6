"""The table of losses in user_guide/losses.md, from the registry and the classes' docstrings.

python docs/loss_table.py            prints it
python docs/loss_table.py --write    rewrites it in the page, between the two comments
"""

import inspect
import re
import sys
from pathlib import Path

from sknormnet.losses import LOSSES, loss_names

PAGE = Path(__file__).parent / "user_guide" / "losses.md"
BEGIN, END = "<!-- losses: written by docs/loss_table.py -->\n", "<!-- end of losses -->\n"


def table():
    return "\n".join(f"**{task.capitalize()}**\n\n{rows(task)}" for task in ("regression", "classification"))


def rows(task):
    """One row for each loss; what is the same in all of them is said once, below."""
    classes = [LOSSES[name] for name in loss_names(task)]
    columns = {
        "`loss=`": [f'`"{cls.name}"`' for cls in classes],
        "or an object": [f"`{cls.__name__}{defaults(cls)}`" for cls in classes],
        **{heading: [cell(block(cls, heading)) for cls in classes] for heading in ("Domain", "Link", "Formula")},
    }
    shared = {heading: cells[0] for heading, cells in columns.items() if len(set(cells)) == 1}
    columns = {heading: cells for heading, cells in columns.items() if heading not in shared}
    return markdown(columns) + "".join(f"\n{heading} of all: {entry}.\n" for heading, entry in shared.items())


def markdown(columns):
    """A table from the cells under each heading."""
    lines = [list(columns), ["---"] * len(columns), *zip(*columns.values(), strict=True)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def defaults(cls):
    """The constructor's arguments with their defaults, as one writes them."""
    parameters = inspect.signature(cls).parameters.values()
    return "(" + ", ".join(f"{parameter.name}={parameter.default!r}" for parameter in parameters) + ")"


def block(cls, heading):
    """The indented text under a heading of the docstring, on one line."""
    match = re.search(rf"^{heading}\n((?: +.*\n?)+)", inspect.getdoc(cls), re.MULTILINE)
    if match is None:
        raise ValueError(f"the docstring of {cls.__name__} has no block {heading}")
    return " ".join(match[1].split())


def cell(text):
    text = re.sub(r"[,;] raw in \(-inf, inf\)", "", text)  # every loss takes all of them
    return re.sub(r"([*|])", r"\\\1", text.removesuffix("."))


def parts(page, begin=BEGIN, end=END):
    """The page before the table, the table, and the page after it."""
    before, _, rest = page.partition(begin)
    inside, _, after = rest.partition(end)
    return before + begin, inside, end + after


def main(page, table, begin=BEGIN, end=END):
    if "--write" in sys.argv:
        before, _, after = parts(page.read_text(encoding="utf-8"), begin, end)
        page.write_text(f"{before}\n{table}\n{after}", encoding="utf-8")
    else:
        print(table, end="")


if __name__ == "__main__":
    main(PAGE, table())
