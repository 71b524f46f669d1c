"""Answer upper lines of couplets with the model of a finished run (article 6270).

    python couplet/answer.py 海上生明月                    # by the network in pretrained/, which has read verse
    python couplet/answer.py --run RUN_DIR --temperature 0.8 --top-k 10 --answers 5 晚风摇树树还挺

By default each position gets its most probable character. With a temperature the characters are drawn. No answer
repeats the character above, and none holds an unknown one. A run on the grammar answers lines of its grammar only.
"""

from common.cli import Parser, float_in, main
from common.flag_types import count_int, nonempty, nonnegative_int, positive_int, trained_run


def make_parser():
    p = Parser(description=__doc__, formatter_class=Parser.RAW)
    p.add_argument("lines", metavar="LINE", type=nonempty, nargs="+", help="upper lines; blanks in them are left out")
    p.add_argument(
        "--run", type=trained_run, default="couplet-verse", metavar="RUN",
        help="a finished run, or an entry of pretrained/ (default couplet-verse)",
    )  # fmt: skip
    p.add_argument(
        "--temperature", type=float_in(0, 100), default=0.0,
        help="draw from the probabilities to the power 1 / temperature (default 0: the most probable characters)",
    )  # fmt: skip
    p.add_argument("--top-k", type=positive_int, help="draw from the K most probable characters only (default all)")
    p.add_argument("--answers", type=count_int, default=1, help="answers to each line (default 1)")
    p.add_argument("--seed", type=nonnegative_int, default=0, help="seed of the draws (default 0)")
    return p


def run(args):
    import numpy as np

    from common.errors import UserError
    from common.files import read_json
    from common.models.inference import load_model
    from couplet.data import LEAST_ALPHABET, LONGEST
    from couplet.decoding import answers, checked, unknown

    if (args.top_k or args.answers > 1) and not args.temperature:
        raise UserError("without --temperature there is one answer: give e.g. --temperature 0.8")
    lines = [checked(line) for line in args.lines]
    alphabet = read_json(f"{args.run}/alphabet.json")
    if not isinstance(alphabet, str) or len(alphabet) < LEAST_ALPHABET:
        raise UserError(f"{args.run}/alphabet.json is damaged: train again or restore it")
    tagger = load_model(f"{args.run}/tagger.keras", (None,), (None, len(alphabet)))
    rng = np.random.default_rng(args.seed)
    for line in lines:
        missing = unknown(line, alphabet)
        notes = [f"unknown to the model: {missing}"] if missing else []
        notes += ["longer than any line that it was trained on"] if len(line) > LONGEST else []
        print(line + (f"   ({'; '.join(notes)})" if notes else ""))
        print(*answers(tagger, alphabet, line, args.temperature, args.top_k, args.answers, rng), sep="\n")


if __name__ == "__main__":
    main(run, make_parser())
