"""Simulated worlds of the service by the thousand: ``soak.py [FIRST [LAST]]``, seeds.

Prints a line for each law that was broken (with the seed that runs it again) and a table of what
happened. The tests run the first two hundred.
"""

import sys
import time
from collections import Counter

from foremargin.tests.serving.service.simulator import simulate


def main(first: int = 1_000, last: int = 1_500) -> int:
    """Run seeds from `first` to before `last`; return how many broke a law."""
    happened: Counter[str] = Counter()
    broken, start = 0, time.perf_counter()
    for seed in range(first, last):
        try:
            happened += simulate(seed)
        except AssertionError as error:
            broken += 1
            print(error)
    print("| what | times |\n| --- | ---: |")
    for name, times in sorted(happened.items()):
        print(f"| {name.replace('_', ' ')} | {times:,} |")
    print(f"\n{last - first:,} worlds, {broken} broken, {time.perf_counter() - start:.0f} s")
    return broken


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:3])) > 0)
