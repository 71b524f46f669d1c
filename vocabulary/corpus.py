"""The two texts that are set against each other: that of a domain and a general one."""

from itertools import islice

from common.data.text import find_text, read_texts
from common.errors import UserError
from common.streams import stage
from vocabulary import toy_language
from vocabulary.discovery import count_letters, encode

LANGUAGE = "language"  # the data set that `vocabulary.toy_language` draws
LEAST = 1000  # characters; the statistics of less say nothing


@stage("reading the texts")
def load_corpora(dataset, against, data_dir=None, limit=None, seed=0):
    """Return the characters of the domain's texts and of the general ones, as `vocabulary.discovery.encode` does.

    Args:
        dataset: str, "language", a name of `common.data.text.TEXTS` or "text:PATH".
        against: list of such names, the general texts; None for the language, which has its own.
        data_dir: folder of the user's downloads (default none).
        limit: int, use only the first texts of each (default all; 8000 sentences of the language).
        seed: int, of the language and its texts.

    Raises:
        UserError: if a text is missing or short, or if `against` is missing or given for the language.
    """
    if dataset == LANGUAGE:
        if against:
            raise UserError("the language has a general text of its own: leave out --against")
        language, n = toy_language.make_language(seed), limit or toy_language.SENTENCES
        return [encode(toy_language.write_corpus(language, kind, n, seed)) for kind in toy_language.CORPORA]
    if not against:
        raise UserError(f"{dataset} needs a general text to be set against, e.g. --against shopping couplet")
    codes = []
    for names in ([dataset], against):
        texts = (text for name in names for text in islice(texts_of(name, data_dir), limit))
        codes.append(encode(texts))
        if (n := count_letters(codes[-1])) < LEAST:
            raise UserError(f"{' and '.join(names)} has {n} characters and letters: give a text of at least {LEAST}")
    return codes


def texts_of(name, data_dir):
    """Yield the texts of a data set; the characters of couplets are divided by blanks, which are left out."""
    for text in read_texts(find_text(name, data_dir)):
        yield text.text.replace(" ", "") if name == "couplet" else text.text
