"""Grow terms from seeds of your choice, in the vectors of a finished run of `vocabulary/train.py` (article 6540).

    python vocabulary/grow.py --run RUN_DIR --seed-words 早餐 大堂 服务员
    python vocabulary/grow.py --run RUN_DIR --seed-words 早餐 --s-min 0.5 --alpha 0.25

A word joins if its cosine to a word of depth n is at least s_min + (1 - s_min)(1 - exp(-alpha n)). The file
`vocabulary/rules.toml` says what a term may not look like; edit it for your domain. The results go to
`<RUN_DIR>/grow/terms.txt` and `table.md`.
"""

from common.cli import Parser, float_in, main
from common.flag_types import nonempty, run_folder
from vocabulary.train import ALPHA, S_MIN


def make_parser():
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument("--run", type=run_folder, required=True, metavar="RUN_DIR", help="a finished run")
    p.add_argument(
        "--seed-words", type=nonempty, nargs="+", required=True, metavar="WORD", help="words that are terms for sure"
    )
    p.add_argument("--s-min", type=float_in(-1, 1), help="threshold at the seeds, a cosine (default: that of the run)")
    p.add_argument("--alpha", type=float_in(0, 100), default=ALPHA, help=f"how fast it rises (default {ALPHA})")
    return p


def run(args):
    from pathlib import Path

    from common.errors import UserError
    from common.training.run_files import read_config
    from vocabulary.corpus import LANGUAGE
    from vocabulary.report import candidates, load_words, terms
    from vocabulary.rules import read_rules

    flags = read_config(args.run)["flags"]
    rules = None if flags.get("dataset") == LANGUAGE else read_rules()
    s_min = flags.get("s_min", S_MIN) if args.s_min is None else args.s_min
    found = load_words(args.run)
    seeds = [word.lower() for word in args.seed_words]  # as the texts are
    unknown = [word for word in seeds if word not in found["words"]]
    if unknown:
        known = " ".join(candidates(found, rules)[:8])
        raise UserError(f"the run has no vector of {' '.join(unknown)}: give other seeds, such as {known}")
    folder = Path(args.run) / "grow"
    text, metrics = terms(folder, found, seeds, s_min, args.alpha, rules)
    print(text, *(f"{name:30s}{value:g}" for name, value in metrics.items()), folder / "terms.txt", sep="\n")


if __name__ == "__main__":
    main(run, make_parser(), backend_needed=False)
