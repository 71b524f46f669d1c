"""Scores, tables and pictures of a trained tagger."""

import numpy as np

from common.files import atomic_write
from common.streams import stage
from couplet import grammar, prosody
from couplet.data import GRAMMAR, by_length
from couplet.measure import distinct, measure_tables, measure_tagger
from couplet.tables import CountTables

TABLES = ("table of characters", "table of neighbours")
COLUMNS = ("perplexity", "top-1", "whole lines")


def block_parameters(tagger):
    """Return the number of parameters between the embedding and the softmax."""
    ends = (tagger.get_layer("characters"), tagger.get_layer("logits"))
    return tagger.count_params() - sum(layer.count_params() for layer in ends)


@stage("measuring the answers")
def measure_all(tagger, couplets, dataset):
    """Return (dict of numbers, a table of them as Markdown) for a tagger, count tables and the poets' own lines.

    Args:
        tagger: model from ids (batch, length) to logits (batch, length, characters).
        couplets: `couplet.data.Couplets`.
        dataset: str.
    """
    test, alphabet = couplets.test, couplets.alphabet
    scores, answers = measure_tagger(tagger, test)
    rows = {"network": scores}
    metrics = dict(scores)
    if dataset == GRAMMAR:
        best = grammar.best_answers(test)
        metrics |= last_words(test, answers, best)
        rows |= grammar.whole_ceilings(test, best)
        metrics |= {f"{name}/{key}": value for name in list(rows)[1:] for key, value in rows[name].items()}
    tables = CountTables(couplets.train, len(alphabet))
    lengths = (test[:, 0] >= 0).sum(1)
    all_answers = {"network": answers}
    for order, name in enumerate(TABLES):
        rows[name], all_answers[name] = measure_tables(tables, test, order)
        metrics |= {f"{name}/{key}": value for key, value in rows[name].items()}
    all_answers["held-out lines"] = [line[:n] for line, n in zip(test[:, 1], lengths, strict=True)]
    all_answers["held-out lines of other couplets"] = lines_of_others(test)
    rows |= {"held-out lines": {}, "held-out lines of other couplets": {}}
    oblique, tags = prosody.load() if dataset != GRAMMAR else (None, None)
    for name, lines in all_answers.items():
        more = {f"distinct-{n}": distinct(lines, n) for n in (1, 2)}
        pairs = [
            (in_characters(upper[: len(line)], alphabet), in_characters(line, alphabet))
            for upper, line in zip(test[:, 0], lines, strict=True)
        ]
        more |= prosody.parallelism(pairs, oblique, tags)
        rows[name] |= more
        metrics |= {f"{name}/{key}" if name != "network" else key: value for key, value in more.items()}
    missing = [package for package, f in (("pypinyin", oblique), ("jieba", tags)) if f is None and dataset != GRAMMAR]
    note = f'\nnot measured without {" and ".join(missing)}: `.venv/bin/pip install -e ".[verse]"`\n' if missing else ""
    return metrics, table(rows) + note


def lines_of_others(couplets):
    """Return for each couplet the lower line of another one of its length, if there is one: how well chance matches.

    Args:
        couplets: int (n, 2, longest), -1 after the end of a line.

    Returns:
        List of n int arrays.
    """
    lines = [None] * len(couplets)
    for rows, same_length in by_length(couplets):
        for row, line in zip(rows, np.roll(same_length[:, 1], 1, axis=0), strict=True):
            lines[row] = line
    return lines


def last_words(test, answers, best):
    """Return the accuracy of the last word's characters by the number of words, beside the ceilings of the grammar."""
    lengths, metrics = (test[:, 0] >= 0).sum(1), {}
    for n, (with_key, without) in grammar.ceilings(test, best).items():
        rows = np.flatnonzero(lengths == 1 + 2 * n)
        right = [answers[row][-2:] == test[row, 1, 2 * n - 1 : 2 * n + 1] for row in rows]
        metrics[f"last word/{n} words"] = float(np.mean(right))
        metrics[f"last word/{n} words, ceiling"] = with_key
        metrics[f"last word/{n} words, ceiling without the key"] = without
    return metrics


def table(rows):
    """Return a Markdown table of {row: {column: number}}."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    lines = [f"| answers of | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    for name, row in rows.items():
        cells = [f"{row[c]:.3f}" if row.get(c, 9) < 9 else f"{row[c]:.0f}" if c in row else "" for c in columns]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def in_characters(numbers, alphabet):
    """Return numbers of characters as a str."""
    return "".join(alphabet[i] for i in numbers)


def write_answers(path, tagger, couplets, n):
    """Write a Markdown table of n held-out upper lines, evenly spread, with the answers and the true lower lines."""
    rows = np.unique(np.linspace(0, len(couplets.test) - 1, n).astype(int))
    some = couplets.test[rows]
    _, answers = measure_tagger(tagger, some)
    lines = ["| upper line | answer | lower line of the couplet |", "|---|---|---|"]
    for (upper, lower), answer in zip(some, answers, strict=True):
        cells = (in_characters(x[: len(answer)], couplets.alphabet) for x in (upper, answer, lower))
        lines.append(f"| {' | '.join(cells)} |")
    text = "\n".join(lines).replace("\\", "\\\\") + "\n"
    atomic_write(path, lambda file: file.write_text(text, encoding="utf-8"))


def draw_training(path, curves, history):
    """Draw the loss of the training and that of held-out couplets."""
    from common.plots.charts import plot_curves

    steps = sorted(map(int, history.values))
    curves = {"training": curves["loss"]} if curves else {}
    curves["held out"] = (steps, [history.values[str(step)] for step in steps])
    plot_curves(path, curves, "step", "loss (nats per character)", "Answering the upper line")
