"""Lay out a library so that readers walk least, and see like books come together (article 6191).

    python word_vectors/library.py                  # half a minute on one CPU core, nothing is trained
    python word_vectors/library.py --preset smoke   # one library, fewer proposals

The article (https://kexue.fm/archives/6191) lets a reader walk from the door to book i, then on to book j, and asks for
the layout that minimises the expected walk

    S = sum_ij p(i, j) (|v_i| + |v_i - v_j|).

Without a least distance between books all of them would stand at the door. Here 60 books of six topics stand on the 60
places of a 10 x 6 grid. The most popular book is taken 60 times as often as the least popular one; the second book has
the topic of the first one in 4 of 5 visits. Simulated annealing exchanges pairs of books. Nobody tells it the topics.

The pictures show a random and an annealed layout, and the expected walk in the annealing. A table shows how alike
neighbours are. All goes to `<out>/word_vectors/library/` (`library-smoke/` for that preset).
"""

from pathlib import Path

import numpy as np

from common.cli import figure_parser, main
from common.streams import stage

PRESETS = {"smoke": {"libraries": 1, "proposals": 2000}, "quick": {"libraries": 5, "proposals": 20_000}}
BOOKS, TOPICS, COLUMNS, ROWS = 60, 6, 10, 6
SAME_TOPIC = 0.8  # share of the visits whose second book is surely of the topic of the first
DOOR = (0.0, (ROWS - 1) / 2)  # the middle of a short side
HOT, COLD = 0.05, 0.0005  # temperature at the beginning and end, in steps of the grid
RANDOM_LAYOUTS = 200  # to measure what chance gives


def make_parser():
    return figure_parser(
        __doc__, PRESETS, "smoke: 1 library and 2,000 proposals; quick: 5 libraries of 20,000 (default)"
    )


def visits(seed, books=BOOKS):
    """Return a random library: p(i) (n,), p(j|i) (n, n) and the topics (n,) of its books, the most popular one first.

    The popularity of books is that of Zipf, 1 / rank. The second book is drawn by popularity, from the topic of the
    first one with probability `SAME_TOPIC`, else from all; never the first book again.
    """
    topics = np.random.default_rng(seed).permutation(np.arange(books) % TOPICS)
    popularity = 1 / np.arange(1, books + 1)
    others = np.tile(popularity, (books, 1))
    np.fill_diagonal(others, 0)
    alike = others * (topics[:, None] == topics)
    next_ = SAME_TOPIC * alike / alike.sum(1, keepdims=True) + (1 - SAME_TOPIC) * others / others.sum(1, keepdims=True)
    return popularity / popularity.sum(), next_, topics


def grid():
    """Return the places of the grid, (60, 2), one step apart."""
    return np.stack(np.meshgrid(np.arange(COLUMNS), np.arange(ROWS)), -1).reshape(-1, 2).astype("float64")


def distances():
    """Return the distances from the door (60,) and between places (60, 60)."""
    places = grid()
    return np.linalg.norm(places - DOOR, axis=1), np.linalg.norm(places[:, None] - places, axis=-1)


def walk(first, next_, layout):
    """Return S, the expected walk in steps of the grid.

    Args:
        first: p(i), (n,).
        next_: p(j|i), (n, n).
        layout: ints (n,), the place of each book.
    """
    from_door, between = distances()
    return float((first * from_door[layout]).sum() + (first[:, None] * next_ * between[np.ix_(layout, layout)]).sum())


def anneal(first, next_, layout, proposals, seed):
    """Exchange pairs of books at random, as the Metropolis rule allows at a falling temperature.

    Args:
        first: p(i), (n,).
        next_: p(j|i), (n, n).
        layout: ints (n,), the place of each book at first; it is not changed.
        proposals: int, number of exchanges that are tried.
        seed: int or list of ints.

    Returns:
        (layout (n,), list of proposals + 1 values of S).
    """
    from_door, between = distances()
    both_ways = first[:, None] * next_
    both_ways = both_ways + both_ways.T
    rng, layout = np.random.default_rng(seed), np.array(layout)
    pairs, luck = rng.integers(len(layout), size=(proposals, 2)), rng.exponential(size=proposals)
    walks = [walk(first, next_, layout)]
    for (a, b), luck_here, temperature in zip(pairs, luck, np.geomspace(HOT, COLD, proposals), strict=True):
        here, there = layout[a], layout[b]
        longer = between[there, layout] - between[here, layout]
        longer[[a, b]] = 0  # the two stay as far from each other as they were
        change = (first[a] - first[b]) * (from_door[there] - from_door[here])
        change += ((both_ways[a] - both_ways[b]) * longer).sum()
        if change < temperature * luck_here:
            layout[a], layout[b] = there, here
            walks.append(walks[-1] + change)
        else:
            walks.append(walks[-1])
    return layout, walks


def lower_bound(first, next_):
    """Return a number below which no layout brings S.

    Popular books stand nearest to the door, and each book has its likely partners around it; no layout can do better
    for any one book, and hardly one for all.
    """
    from_door, between = distances()
    nearest = np.sort(between, 1)[:, 1:].min(0)  # from a place in the middle
    partners = -np.sort(-next_, 1)[:, :-1]
    return float(np.sort(first)[::-1] @ np.sort(from_door) + first @ (partners @ nearest))


def alike(layout, topics):
    """Return the mean over books of the share of their neighbours, one step away, that have their topic."""
    _, between = distances()
    near = between[np.ix_(layout, layout)] == 1
    return float(((topics[:, None] == topics) * near).sum(1) @ (1 / near.sum(1)) / len(layout))


def popularity_correlation(layout):
    """Return the correlation of the rank of a book by popularity with its distance from the door."""
    return float(np.corrcoef(np.arange(len(layout)), distances()[0][layout])[0, 1])


def draw_layouts(path, layouts, topics):
    """Draw layouts side by side into a PNG.

    Args:
        path: path of the PNG.
        layouts: dict title -> ints (n,), the place of each book.
        topics: ints (n,).
    """
    from common.plots.charts import COLOURS, blank_figure, write_figure

    figure = blank_figure(10, 3.9)
    figure.suptitle("A library of six topics (colours); the number is the rank by popularity", fontsize=11)
    for axes, (title, layout) in zip(figure.subplots(1, len(layouts)), layouts.items(), strict=True):
        axes.scatter(*grid()[layout].T, s=300, marker="s", c=[COLOURS[topic] for topic in topics])
        for rank, place in enumerate(grid()[layout], 1):
            axes.text(*place, rank, ha="center", va="center_baseline", fontsize=8, color="white")
        axes.plot(DOOR[0] - 0.8, DOOR[1], ">", color="#222222", markersize=11, clip_on=False)
        axes.set_title(title, fontsize=10)
        axes.set(
            aspect="equal", xlim=(-1.1, COLUMNS - 0.4), ylim=(-0.7, ROWS - 0.3), xticks=(0, 3, 6, 9), yticks=(0, 5)
        )
        axes.set_xlabel("steps from the door (triangle)", fontsize=8)
        axes.set_ylabel("steps", fontsize=8)
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    write_figure(path, figure)


@stage("annealing the layouts")
def measure(seed, proposals):
    """Return (dict of numbers, first layout, annealed layout, values of S) of one library.

    Args:
        seed: int, of the library and of the annealing.
        proposals: int, number of exchanges that are tried.
    """
    first, next_, topics = visits(seed)
    layouts = [np.random.default_rng([seed, i]).permutation(BOOKS) for i in range(RANDOM_LAYOUTS)]
    walks = [walk(first, next_, layout) for layout in layouts]
    layout, values = anneal(first, next_, layouts[0], proposals, [seed, RANDOM_LAYOUTS])
    row = {
        "random": np.mean(walks),
        "spread of random": np.std(walks),
        "annealed": values[-1],
        "no layout below": lower_bound(first, next_),
        "alike neighbours, random": np.mean([alike(other, topics) for other in layouts]),
        "alike neighbours": alike(layout, topics),
        "popularity and distance": popularity_correlation(layout),
    }
    return {name: float(value) for name, value in row.items()}, layouts[0], layout, values


def run(args):
    from common.experiments.tables import table
    from common.files import atomic_write, write_json
    from common.plots.charts import plot_curves
    from common.training.run_dir import provenance, write_results

    sizes = PRESETS[args.preset]
    name = "library" if args.preset == "quick" else f"library-{args.preset}"
    output_dir = Path(args.out) / "word_vectors" / name
    write_json(output_dir / "config.json", provenance(args) | {"settings": sizes})

    results = [measure(seed, sizes["proposals"]) for seed in range(sizes["libraries"])]
    row, before, after, _ = results[0]
    titles = (f"at random: expected walk {walk(*visits(0)[:2], before):.2f}", f"annealed: {row['annealed']:.2f}")
    draw_layouts(output_dir / "figures/layout.png", dict(zip(titles, (before, after), strict=True)), visits(0)[2])
    thin = slice(None, None, max(1, sizes["proposals"] // 200))
    curves = [(np.arange(len(values))[thin], np.array(values)[thin]) for *_, values in results]
    plot_curves(
        output_dir / "figures/annealing.png", {"annealing": curves}, "exchanges that were tried", "expected walk",
        title="The expected walk as books change places",
        references={"random layouts": row["random"], "no layout is below": row["no layout below"]},
    )  # fmt: skip

    rows = {f"library {seed}": {key: [value] for key, value in row.items()} for seed, (row, *_) in enumerate(results)}
    rows["all"] = {key: [row[key] for row, *_ in results] for key in row}
    text = "Expected walk in steps of the grid, and what neighbours share:\n\n" + table("", rows)
    atomic_write(output_dir / "table.md", lambda path: path.write_text(text, encoding="utf-8"))
    metrics = {f"{key}/mean": float(np.mean(values)) for key, values in rows["all"].items()}
    metrics |= {f"{key}/{seed}": value for seed, (row, *_) in enumerate(results) for key, value in row.items()}
    write_results(output_dir, metrics)
    print(text, *sorted((output_dir / "figures").iterdir()), sep="\n")


if __name__ == "__main__":
    main(run, make_parser(), backend_needed=False)
