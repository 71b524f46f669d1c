"""Tables of a comparison over seeds: no more digits than the seeds allow, and no verdict where their ranges overlap."""

import itertools
import math
import shlex
import sys

from common.files import atomic_write, write_json


def floors_line(floors):
    """Return the line below a table that names the noise floors, or an empty one.

    Args:
        floors: dict title -> number, of metrics between two samples of the data.
    """
    listed = ", ".join(f"{title} {value:.3f}" for title, value in floors.items())
    return f"\nfloors, between two samples of the data: {listed}\n" if floors else "\n"


def write_table(output_dir, row_header, rows, args, footer="", **extra_results):
    """Write `results.json` and `table.md` of a comparison.

    Args:
        output_dir: path of the folder to write to.
        row_header: str, head of the first column.
        rows: dict kind -> {column: list of numbers, one per seed}.
        args: parsed flags of `common.experiments.sweep.sweep_parser`.
        footer: str, text under the table.
        **extra_results: entries of `results.json` besides "metrics", "seeds", "train_flags", "command" and, with such a
            flag, "dataset".

    Returns:
        The text of `table.md`.
    """
    metrics = {
        f"{column}/{kind}/{i}": float(value)
        for kind, row in rows.items()
        for column, values in row.items()
        for i, value in enumerate(values)
    }
    results = {"metrics": metrics, "seeds": args.seeds, "train_flags": args.forwarded, **extra_results}
    results |= {"dataset": args.dataset} if getattr(args, "dataset", None) else {}
    results |= {"command": shlex.join(["python", *sys.argv])}
    write_json(output_dir / "results.json", results)
    text = table(row_header, rows) + footer
    atomic_write(output_dir / "table.md", lambda path: path.write_text(text, encoding="utf-8"))
    return text


def table(row_header, rows):
    """Return a Markdown table whose cells are "mean (minimum to maximum)" over seeds, or one number if all agree.

    Args:
        row_header: str, head of the first column.
        rows: dict row -> {column: list of numbers, one per seed}. A row may lack columns, or have empty ones.
    """
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    lines = [f"| {row_header} | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for name, row in rows.items():
        cells = [_cell(row[column]) if row.get(column) else "" for column in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def small_table(header, rows):
    """Return {row: {column: number}} as a Markdown table with two digits of each number."""
    columns = list(next(iter(rows.values())))
    lines = [f"| {header} | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    lines += [f"| {name} | {' | '.join(f'{row[c]:.2g}' for c in columns)} |" for name, row in rows.items()]
    return "\n".join(lines) + "\n"


def _cell(values):
    """Return "mean (minimum to maximum)": at most four digits, and two of the difference between the last two."""
    low, high = min(values), max(values)
    mean = sum(values) / len(values)
    if low == high:
        decimals = 3 if 0.1 <= abs(low) < 1000 else _decimals(low, 3)
        return f"{low:,.0f}" if float(low).is_integer() else f"{low:,.{decimals}f}"
    decimals = min(_decimals(mean, 4), _decimals(high - low, 2))
    return f"{mean:,.{decimals}f} ({low:,.{decimals}f} to {high:,.{decimals}f})"


def _decimals(number, digits):
    """Return the number of decimals that shows so many digits of a number, at most 6."""
    if not math.isfinite(number):  # some divergences are infinite
        return 3
    return max(0, min(6, digits - 1 - math.floor(math.log10(abs(number))))) if number else 6


def disjoint(values_of):
    """Return whether the ranges over seeds of at least two kinds are known and none overlaps another.

    Args:
        values_of: dict kind -> list of numbers, one per seed.
    """
    ranges = sorted((min(values), max(values)) for values in values_of.values() if len(values) > 1)
    return len(ranges) > 1 and all(a[1] < b[0] for a, b in itertools.pairwise(ranges))


def lowest(values_of, seeds):
    """Return which kind has the lowest values, in words: a name only if its range over seeds overlaps no other.

    Args:
        values_of: dict kind -> list of numbers, one per seed that did not fail.
        seeds: int, number of seeds. A kind that failed with one of them has a range without end.
    """
    ranges = {
        kind: (min(values), max(values) if len(values) >= seeds else math.inf)
        for kind, values in values_of.items()
        if values
    }
    if seeds < 2 or len(ranges) < 2:
        return "undecided; it takes at least two seeds of each"
    best = min(ranges, key=lambda kind: ranges[kind][1])
    rivals = [kind for kind, (low, _) in ranges.items() if kind != best and low <= ranges[best][1]]
    if rivals:
        return f"undecided; the range of {best} over seeds overlaps that of {', '.join(rivals)}"
    chance = math.comb(2 * seeds, seeds) // 2
    return f"{best}, with every seed (of two that are equal, one comes out so once in {chance} comparisons)"
