"""What is measured of answers: the likelihood of the poet's line, and the last word by its distance from the key."""

from types import SimpleNamespace

import numpy as np
import pytest

from couplet import grammar, measure, report
from couplet.tables import CountTables

SIZE = grammar.Grammar().size


def test_a_model_with_the_distributions_of_a_table_has_its_scores():
    couplets, _ = grammar.write_couplets(300, 0)
    test, _ = grammar.write_couplets(40, grammar.TEST_SEED)
    tables = CountTables(couplets, SIZE)
    predict = lambda ids: np.log(np.stack([tables.distribution(line, 1) for line in ids]))
    model = SimpleNamespace(predict_on_batch=predict)
    of_table, _ = measure.measure_tables(tables, test, 1)
    assert measure.measure_tagger(model, test)[0] == pytest.approx(of_table)
    assert measure.measure_tagger(model, test[:, ::-1])[0]["perplexity"] != pytest.approx(of_table["perplexity"])


def test_the_last_word_counts_by_its_characters():
    test, _ = grammar.write_couplets(60, grammar.TEST_SEED)
    best = grammar.best_answers(test)
    perfect = [lower[: (upper >= 0).sum()] for upper, lower in test]
    last_wrong = [np.append(answer[:-1], -7) for answer in perfect]
    earlier_wrong = [np.append(np.full(len(answer) - 2, -7), answer[-2:]) for answer in perfect]
    for answers, expected in ((perfect, 1), (last_wrong, 0.5), (earlier_wrong, 1)):
        metrics = report.last_words(test, answers, best)
        of_words = [value for name, value in metrics.items() if name.endswith("words")]
        assert len(of_words) == 4 and of_words == [expected] * 4
