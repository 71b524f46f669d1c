"""Reviews as rows of characters, and their labels as tasks: sentiment and category."""

from collections import Counter

import numpy as np

from albert.tokens import CLS, FIRST, PAD, UNKNOWN, Data, Task
from common.data.text import find_text, read_texts
from common.errors import UserError
from common.streams import stage

REVIEWS = "reviews"  # name of --dataset: the hotel and the shopping reviews
SOURCES = {REVIEWS: {"sentiment": ("hotel", "label"), "category": ("shopping", "category")}}
MOST = 4000  # characters of the alphabet, the most common ones
LEAST = 10  # texts with a label: two are for the validation, and two for the test
SHORTEST = 8  # characters of the last part of a long text, for the pre-training


@stage("reading the reviews")
def load_reviews(dataset, size, examples, measured, seed, data_dir=None):
    """Return reviews for the pre-training and the tasks.

    The seed divides the texts. Those of the validation and the tests stand in no other part, and a text that occurs
    twice is used once. A long text is cut for the tasks, and divided into several rows for the pre-training.

    Args:
        dataset: str, "reviews", "hotel", "shopping", "waimai" or "text:PATH".
        size: int, length of a row: [CLS] and the characters.
        examples: int, labelled examples to train on, at most.
        measured: int, examples to validate on, and as many to test on; at most a fifth of all.
        seed: int.
        data_dir: folder of the user's downloads (default none).

    Raises:
        UserError: if a source is missing or damaged, or if fewer than ten of its texts have one of two labels.
    """
    sources = SOURCES.get(dataset, {kind: (dataset, kind) for kind in ("label", "category")})
    texts = {name: read_once(name, data_dir) for name, _ in sources.values()}
    raw, used = {}, set()  # task: its three parts, lists of (text, label)
    for task, (name, kind) in sources.items():
        rows = [(text.text, getattr(text, kind)) for text in texts[name] if getattr(text, kind)]
        if len({label for _, label in rows}) < 2 or len(rows) < LEAST:
            continue
        order = np.random.default_rng([seed, 0, 7187]).permutation(len(rows))
        n = min(measured, len(rows) // 5)
        valid, test, train = np.split(order, [n, 2 * n])
        raw[task] = [[rows[i] for i in part] for part in (train, valid, test)]
        used |= {rows[i][0] for i in (*valid, *test)}
    if not raw:
        raise UserError(f"{dataset} has no labels: name two or more in a column label or cat of {LEAST} or more texts")
    for parts in raw.values():
        parts[0] = [row for row in parts[0] if row[0] not in used][:examples]
    free = [t.text for of_name in texts.values() for t in of_name if t.text not in used]
    counts = Counter(c for text in free for c in text)
    alphabet = [c for c, _ in sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MOST]]
    number = {c: i for i, c in enumerate(alphabet, FIRST)}
    tasks = {task: make_task(parts, size, number) for task, parts in raw.items()}
    pieces = [text[i : i + size - 1] for text in free for i in range(0, len(text), size - 1)]
    unlabelled = to_rows([p for p in pieces if len(p) >= min(SHORTEST, size - 1)], size, number)
    held_out = np.concatenate([task.valid[:, :size] for task in tasks.values()])
    return Data(unlabelled, held_out, FIRST + len(alphabet), tasks)


def read_once(name, data_dir):
    """Return the `common.data.text.Text`s of a collection, the first of those with equal texts."""
    return list({text.text: text for text in reversed(list(read_texts(find_text(name, data_dir))))}.values())[::-1]


def to_rows(texts, size, number):
    """Return texts as token numbers after [CLS], padded or cut, int32 (n, size)."""
    rows = np.full((len(texts), size), PAD, "int32")
    rows[:, 0] = CLS
    for row, text in zip(rows, texts, strict=True):
        ids = [number.get(c, UNKNOWN) for c in text[: size - 1]]
        row[1 : 1 + len(ids)] = ids
    return rows


def make_task(parts, size, number):
    """Return the `Task` of classifying texts.

    Args:
        parts: three lists of (text, label) for training, validation and test.
        size: int, length of a row.
        number: dict character -> token number.
    """
    labels = sorted({label for part in parts for _, label in part})
    arrays = [
        np.concatenate(
            [to_rows([text for text, _ in part], size, number), [[labels.index(label)] for _, label in part]], 1
        ).astype("int32")
        for part in parts
    ]
    return Task(*arrays, len(labels), 0, None)
