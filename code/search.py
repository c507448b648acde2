#!/usr/bin/env python3
"""What is this? An index of photographs that says what a new one shows, and how sure that is.

python code/search.py index --ckpt logs/photos/RUN --photos photos --out shop.index
python code/search.py add shop.index new_photos
python code/search.py query shop.index IMG_1.jpg --top 5 --html answer.html --json answer.json
python code/search.py calibrate shop.index labelled_photos --precision 0.95
python code/search.py duplicates photos --ckpt logs/photos/RUN --html dups.html
python code/search.py remove shop.index --gone
python code/search.py info shop.index
python code/search.py verify shop.index
python code/search.py serve shop.index
"""

from __future__ import annotations

import dml.packages  # noqa: F401  # isort: skip

from dml.cli.entry import guarded
from dml.cli.search import parse_search


def main() -> None:
    command = parse_search()
    # Here, for neither --help nor a slip of the hand needs what an index does.
    from dml.programs.search import run

    run(command)


if __name__ == "__main__":
    guarded(main)
