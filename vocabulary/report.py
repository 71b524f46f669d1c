"""Numbers, tables and pictures of a found vocabulary."""

import zipfile
from itertools import product
from pathlib import Path

import numpy as np

from common.errors import UserError, one_line
from common.files import atomic_write
from vocabulary.contrast import contrast, contrast_as_published, precision_at, ranked, scores_of
from vocabulary.discovery import find_words
from vocabulary.growth import centred, grow
from vocabulary.rules import is_term

SHOWN = 50  # words of each list in the table
MIN_PMIS = (0.5, 2.0)  # of the discovery in the language
ALPHAS, S_MINS = (0.0, 0.35), (0.2, 0.3, 0.4, 0.5, 0.6)  # schedules of the threshold; the article has 0.35 and 0.6


def known_lexicon(run_dir, language, codes, domain, general, found):
    """Measure discovery, contrast and growth against the lexicon of the language, and draw the last two.

    Args:
        run_dir: path of the run directory.
        language: `vocabulary.toy_language.Language`.
        codes: the two corpora, see `vocabulary.discovery.encode`.
        domain: dict word -> count, of the words that were found.
        general: dict word -> count.
        found: dict of the arrays "words", "vectors" and "scores" of the domain's words.

    Returns:
        dict name -> number.
    """
    from common.plots.charts import plot_curves

    lexicon, terms = set(language.words), set(language.terms)
    metrics = {}
    for min_pmi in MIN_PMIS:
        for pruned in (False, True):
            words = [w for w in find_words(codes[0], min_pmi, 1e-6, pruned)[0] if len(w) > 1]
            scores = scores_of(words, lexicon)
            name = f"min_pmi {min_pmi:g}, {'pruned' if pruned else 'not pruned'}"
            metrics |= {f"discovery/{name}/{key}": score for key, score in scores.items()}
            metrics[f"discovery/{name}/recall of terms"] = scores_of(words, terms)["recall"]

    filled, (published, a) = contrast(domain, general), contrast_as_published(domain, general)
    curves = {}
    for name, scores in (("zero fill", filled), ("as published", published)):
        order = [word for word in ranked(scores) if len(word) > 1]
        metrics[f"contrast/{name}/precision at 80"] = precision_at(order, terms, 80)
        metrics[f"contrast/{name}/precision at 140, terms and academic"] = precision_at(
            order, terms | set(language.academic), 140
        )
        metrics[f"contrast/{name}/terms with a score"] = len({w for w in terms if not np.isnan(scores.get(w, np.nan))})
        curves[name] = (range(5, 201), [precision_at(order, terms, k) for k in range(5, 201)])
    metrics["contrast/as published/a"] = a
    title = "Contrast: words that only the domain has come first, or last"
    plot_curves(run_dir / "figures/contrast.png", curves, "first words of the list", "share of terms", title)

    seeds = numbers_of([w for w in candidates(found) if w in terms][:8], found)
    curves = {}
    versions = {"": found["vectors"], "centred, ": centred(found["vectors"])}
    for (prefix, vectors), alpha in product(versions.items(), ALPHAS):
        values = []
        for s_min in S_MINS:
            grown = grow(vectors, seeds, s_min, 1.0, alpha)
            words = [found["words"][i] for i in grown if len(found["words"][i]) > 1]
            scores = scores_of(words, terms)
            name = f"growth/{prefix}alpha {alpha:g}/s_min {s_min:g}"
            metrics |= {name: scores["F1"]} | {f"{name}/{key}": scores[key] for key in ("precision", "recall")}
            values.append(scores["F1"])
        curves[f"{prefix}alpha = {alpha:g}" + " (constant)" * (not alpha)] = (S_MINS, values)
    title = "Growth from eight terms, by the schedule of the threshold"
    plot_curves(run_dir / "figures/growth.png", curves, "threshold at the seeds (cosine)", "F1 of the terms", title)
    return metrics


def candidates(found, rules=None):
    """Return the words of two and more characters, or those that obey the rules, by their contrast, highest first."""
    words, scores = found["words"].tolist(), found["scores"]
    keep = (lambda word: is_term(word, rules)) if rules else (lambda word: len(word) > 1)
    return [words[i] for i in np.argsort(-scores, kind="stable") if keep(words[i])]


def numbers_of(words, found):
    """Return the numbers of some words."""
    number = {word: i for i, word in enumerate(found["words"].tolist())}
    return [number[word] for word in words]


def terms(run_dir, found, seeds, s_min, alpha, rules=None):
    """Grow terms from seeds, write `terms.txt` and `table.md`, and return (text of the table, dict of numbers).

    The vectors are centred first. A grown word is a term if it obeys the rules and the domain has more of it than a
    general text: its contrast is above 1/2. A seed is a term in any case. The terms are sorted by their contrast.

    Args:
        run_dir: path of the folder to write to.
        found: dict of the arrays "words", "vectors" and "scores".
        seeds: list of str.
        s_min: float, threshold at the seeds.
        alpha: float, how fast it rises.
        rules: dict, see `vocabulary.rules`; by default words of two and more characters are terms.
    """
    numbers = numbers_of(seeds, found)
    depths = grow(centred(found["vectors"]), numbers, s_min, 1.0, alpha)
    grown = {found["words"][i] for i in depths}
    by_contrast = candidates(found, rules)
    above = set(found["words"][found["scores"] > 0.5].tolist())
    kept = (grown & above & set(by_contrast)) | set(seeds)
    final = [found["words"][i] for i in np.argsort(-found["scores"], kind="stable") if found["words"][i] in kept]
    in_lines = lambda words: " ".join(words) or "none"
    parts = {
        f"The first {SHOWN} words by contrast": candidates(found)[:SHOWN],
        f"The first {SHOWN} that obey the rules": by_contrast[:SHOWN],
        "Seeds": seeds,
        f"The first {SHOWN} of {len(final)} terms, grown from the seeds": final[:SHOWN],
    }
    text = "\n\n".join(f"**{title}**\n\n{in_lines(words)}" for title, words in parts.items()) + "\n"
    atomic_write(run_dir / "terms.txt", lambda path: path.write_text("\n".join(final) + "\n", encoding="utf-8"))
    atomic_write(run_dir / "table.md", lambda path: path.write_text(text, encoding="utf-8"))
    return text, {
        "grown words": len(depths),
        "grown words, as published": len(grow(found["vectors"], numbers, s_min, 1.0, alpha)),
        "greatest depth": max(depths.values()),
        "candidates by the rules": len(by_contrast),
        "terms": len(final),
    }


def load_words(run_dir):
    """Return the arrays "words", "vectors", "counts" and "scores" of a finished run, as a dict.

    Raises:
        UserError: if they are missing or damaged.
    """
    path = Path(run_dir) / "words.npz"
    if not path.is_file():
        raise UserError(f"{path} is missing: give a finished run of vocabulary/train.py")
    try:
        with np.load(path) as arrays:
            found = {name: arrays[name] for name in ("words", "vectors", "counts", "scores")}
        if len({len(values) for values in found.values()}) > 1 or found["vectors"].ndim != 2:
            raise ValueError("its arrays do not fit together")
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is damaged ({one_line(error)[:100]}): train again") from None
    return found
