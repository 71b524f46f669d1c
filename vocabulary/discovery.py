"""Find the words of a text by the mutual information of adjacent characters, and divide the text into them.

A text is cut between two characters that do not hold together. The pieces between the cuts are words or joined words;
`prune` takes out a joined piece that its parts explain. A text is an array of character codes here, so that numpy
does what is to be done for each character.
"""

import math
from collections import Counter

import numpy as np

from common.streams import stage

TEXT_END, CUT = ord("\n"), ord(" ")  # code between two texts, and that of a cut in a text
LONGEST = 100  # characters of a word; a longer piece is a phrase that the text repeats without a cut
UNKNOWN = -100.0  # log-probability of a character that the lexicon lacks


def encode(texts):
    """Return the characters of some texts as codes, uint32 (n,).

    Chinese characters, Latin letters (in lower case) and digits are kept. All others are cuts.

    Args:
        texts: iterable of str.
    """
    text = "\n".join(text.lower().replace("\n", " ") for text in texts)
    codes = np.frombuffer(text.encode("utf-32-le", errors="replace"), np.uint32)
    in_range = lambda low, high: (codes >= ord(low)) & (codes <= ord(high))
    is_letter = in_range("0", "9") | in_range("a", "z") | in_range("\u3400", "\u4dbf") | in_range("\u4e00", "\u9fff")
    return np.where(is_letter | (codes == TEXT_END), codes, CUT).astype(np.uint32)


def count_letters(codes):
    """Return how many of some codes, see `encode`, stand for a character and not for a cut."""
    return int(np.count_nonzero((codes != CUT) & (codes != TEXT_END)))


def count_adjacent(codes):
    """Count characters and pairs of adjacent characters.

    Args:
        codes: uint32 (n,), see `encode`.

    Returns:
        (counts of the two characters, count of the pair, both at each place between two codes; number of characters):
        float64 (n - 1, 2) and (n - 1,), zeros where a cut or an end stands, and int.
    """
    letters = (codes != CUT) & (codes != TEXT_END)
    characters, ids, counts = np.unique(codes[letters], return_inverse=True, return_counts=True)
    number = np.zeros(len(codes), np.int64)
    number[letters] = ids
    both = letters[:-1] & letters[1:]
    keys = number[:-1][both] * len(characters) + number[1:][both]
    _, inverse, pair_counts = np.unique(keys, return_inverse=True, return_counts=True)
    singles, pairs = np.zeros((len(codes) - 1, 2)), np.zeros(len(codes) - 1)
    singles[both] = np.stack([counts[number[:-1][both]], counts[number[1:][both]]], 1)
    pairs[both] = pair_counts[inverse]
    return singles, pairs, int(letters.sum())


def cut_text(codes, min_pmi, min_proba):
    """Cut texts wherever two adjacent characters do not hold together.

    A pair ab holds together if P(ab) > min_proba and log P(ab) / (P(a) P(b)) > min_pmi. Probabilities are counts over
    the number of characters.

    Args:
        codes: uint32 (n,), see `encode`.
        min_pmi: float, in nats.
        min_proba: float.

    Returns:
        str, the texts, one a line, with blanks at the cuts.
    """
    singles, pairs, n = count_adjacent(codes)
    with np.errstate(divide="ignore", invalid="ignore"):
        pmi = np.log(pairs * n / (singles[:, 0] * singles[:, 1]))
    weak = ~((pairs > min_proba * n) & (pmi > min_pmi))
    return np.insert(codes, np.flatnonzero(weak) + 1, CUT).astype("<u4").tobytes().decode("utf-32-le")


def find_words(codes, min_pmi, min_proba, pruned=True):
    """Return the words of some texts.

    Args:
        codes: uint32 (n,), see `encode`.
        min_pmi: float, least mutual information in nats of two characters inside a word.
        min_proba: float, least relative frequency of such a pair, and of a word.
        pruned: bool, take out pieces that their parts explain.

    Returns:
        (dict word -> count, the cut text as `cut_text` returns it).
    """
    with stage("cutting the texts into pieces"):
        text = cut_text(codes, min_pmi, min_proba)
        counts = Counter(text.split())
    total = sum(counts.values())
    counts = {word: count for word, count in counts.items() if count > min_proba * total}
    if n := sum(len(word) > LONGEST for word in counts):
        print(f"left out {n:,} pieces of more than {LONGEST} characters", flush=True)
        counts = {word: count for word, count in counts.items() if len(word) <= LONGEST}
    return prune(counts) if pruned else counts, text


@stage("taking out joined words")
def prune(counts):
    """Return a lexicon without the words that their parts explain.

    The longest word comes first. It is taken out and divided into the other words on the path of highest probability.
    It stays out if log P(w) - sum log P(parts) < len(w) - 1; its count then goes to the parts.

    Args:
        counts: dict word -> count.
    """
    counts = dict(counts)
    logs, total = {word: math.log(count) for word, count in counts.items()}, sum(counts.values())
    longest = max(map(len, counts), default=1)
    for word in sorted(counts, key=lambda word: (-len(word), word)):
        if len(word) == 1:
            break
        count, log_count, log_total = counts[word], logs.pop(word), math.log(total)
        score, parts = best_path(word, logs, log_total, longest)
        if log_count - log_total - score >= len(word) - 1:
            logs[word] = log_count
            continue
        del counts[word]
        total += (len(parts) - 1) * count
        for part in parts:
            counts[part] = counts.get(part, 0) + count
            logs[part] = math.log(counts[part])
    return counts


def best_path(text, logs, log_total, longest):
    """Return the division of a text into words with the highest product of their probabilities.

    Args:
        text: str.
        logs: dict word -> log of its count.
        log_total: float, log of the sum of all counts.
        longest: int, length of the longest word.

    Returns:
        (log-probability, list of words). A character that is no word counts `UNKNOWN`.
    """
    scores, starts = [0.0], [0]
    for end in range(1, len(text) + 1):
        best, first = -math.inf, end - 1
        for start in range(max(0, end - longest), end):
            log_count = logs.get(text[start:end])
            if log_count is None and start < end - 1:
                continue
            score = scores[start] + (UNKNOWN if log_count is None else log_count - log_total)
            if score > best:
                best, first = score, start
        scores.append(best)
        starts.append(first)
    parts, end = [], len(text)
    while end:
        parts.append(text[starts[end] : end])
        end = starts[end]
    return scores[-1], parts[::-1]


@stage("dividing the texts into words")
def divide(text, counts):
    """Divide a text into words on the path of highest probability.

    No word of the lexicon reaches over a cut, so each different piece is divided once.

    Args:
        text: str, texts in lines, with blanks at the cuts, as `cut_text` returns it.
        counts: dict word -> count.

    Returns:
        (words, ids, texts): list of the different words, the most frequent first; the words of all texts in order as
        numbers, int32 (n,); the number of the text of each, int32 (n,). Words that occur once are left out.
    """
    logs, log_total = {word: math.log(count) for word, count in counts.items()}, math.log(sum(counts.values()))
    longest = max(map(len, counts))
    lines = [line.split() for line in text.split("\n")]
    parts = {piece: best_path(piece, logs, log_total, longest)[1] for piece in {p for line in lines for p in line}}
    lines = [[word for piece in line for word in parts[piece]] for line in lines]
    frequency = Counter(word for line in lines for word in line)
    words = [word for word, count in sorted(frequency.items(), key=lambda item: (-item[1], item[0])) if count > 1]
    number = {word: i for i, word in enumerate(words)}
    ids = np.array([number.get(word, -1) for line in lines for word in line], "int32")
    texts = np.repeat(np.arange(len(lines), dtype="int32"), [len(line) for line in lines])
    return words, ids[ids >= 0], texts[ids >= 0]
