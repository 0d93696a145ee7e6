"""The table of penalties in user_guide/penalties_and_layer_weights.md, from the registry and the classes' docstrings.

python docs/penalty_table.py            prints it
python docs/penalty_table.py --write    rewrites it in the page, between the two comments
"""

import inspect
import re
from pathlib import Path

import loss_table

from sknormnet.penalties import PENALTIES

PAGE = Path(__file__).parent / "user_guide" / "penalties_and_layer_weights.md"
BEGIN, END = "<!-- penalties: written by docs/penalty_table.py -->\n", "<!-- end of penalties -->\n"


def table():
    return loss_table.markdown(
        {
            "`penalty=`": [f'`"{name}"`' for name in PENALTIES],
            "or an object": [f"`{cls.__name__}{loss_table.defaults(cls)}`" for cls in PENALTIES.values()],
            "Omega(W)": [formula(cls) for cls in PENALTIES.values()],
            "convex": ["yes" if cls().convex else "no" for cls in PENALTIES.values()],
            "`solver=`": [solvers(cls()) for cls in PENALTIES.values()],
        }
    )


def formula(cls):
    """The sentence of the docstring that defines Omega, or s * Omega of shapes that bend with the strength s."""
    text = " ".join(inspect.getdoc(cls).replace("``", "").split())
    match = re.search(r"((?:s \* )?Omega\(W\) = .*?)\.(?= |$)", text)
    if match is None:
        raise ValueError(f"the docstring of {cls.__name__} does not say what Omega(W) is")
    return loss_table.cell(match[1].removeprefix("Omega(W) = "))


def solvers(penalty):
    if penalty.decoupled:
        return "adam, sgd"
    return "all" if penalty.smooth or penalty.kernel().separable else "adam, sgd, fista"


def parts(page):
    return loss_table.parts(page, BEGIN, END)


if __name__ == "__main__":
    loss_table.main(PAGE, table(), BEGIN, END)
