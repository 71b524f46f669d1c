"""Skip-gram word vectors (arXiv 1301.3781): pairs of neighbours, noise words, and the model that is trained on them."""

import keras
import numpy as np
from keras import layers, ops

from common import backend
from common.errors import UserError
from common.training.single_loss import SingleLoss

NOISE_POWER = 0.75  # noise words are drawn with the probability count^0.75, as in word2vec


def neighbour_pairs(ids, texts, window):
    """Return all pairs (word, neighbour) of some texts, int32 (n, 2), in both directions.

    Args:
        ids: int (n,), the words of all texts in order, as numbers.
        texts: int (n,), the number of the text of each word.
        window: int, greatest distance of two neighbours in a text.

    Raises:
        UserError: if there are none.
    """
    both_directions = []
    for distance in range(1, window + 1):
        left, right = ids[:-distance], ids[distance:]
        same_text = texts[:-distance] == texts[distance:]
        both = np.stack([left[same_text], right[same_text]], 1)
        both_directions += [both, both[:, ::-1]]
    all_pairs = np.concatenate(both_directions).astype("int32")
    if not len(all_pairs):
        raise UserError("no text has two words that are known: give more or longer texts")
    return all_pairs


def noise(frequencies):
    """Return the probabilities (n,) of noise words: their frequencies (n,) to the power 0.75."""
    q = frequencies**NOISE_POWER
    return q / q.sum()


class NoiseWords(keras.layers.Layer):
    """Layer that draws k words, independent of its input, for each row of it.

    It owns its random state as a variable, so that a checkpoint can store it. Under several replicas, each takes its
    own rows of one common draw.

    Args:
        probabilities: (n,), of the words.
        k: int, draws for each row.
        seed: int, seed of the layer's random stream.

    Output shape: `(batch, k)`, int32.
    """

    def __init__(self, probabilities, k, seed=0, **kwargs):
        super().__init__(dtype="float32", **kwargs)
        self.k, self.last = k, len(probabilities) - 1
        self.cumulative = np.cumsum(probabilities).astype("float32")
        self.seed_generator = keras.random.SeedGenerator(seed)

    def call(self, x):
        batch = ops.shape(x)[0]
        draws = backend.rows_of_replica(lambda n: keras.random.uniform((n, self.k), seed=self.seed_generator), batch)
        # the word whose stretch of [0, 1] the number lies in; the last sum may be a little below 1
        words = ops.searchsorted(self.cumulative, ops.reshape(draws, (-1,)), side="right")
        return ops.reshape(ops.minimum(ops.cast(words, "int32"), self.last), (batch, self.k))

    def compute_output_spec(self, x):
        return keras.KerasTensor((x.shape[0], self.k), dtype="int32")


def build_skip_gram(frequencies, dimensions, learning_rate, negatives=None, shared=False, seed=0):
    """Build the tables of word vectors, wire them up and compile the trainer.

    Args:
        frequencies: float (n,), how often each word occurs as a neighbour.
        dimensions: int, length of the vectors.
        learning_rate: float, of Adam.
        negatives: int k, noise words for each neighbour (negative sampling, arXiv 1310.4546); by default the loss is
            a softmax over all words.
        shared: bool, give a word one vector in place of the two of word2vec.
        seed: int, of the noise words.

    Returns:
        Tuple (trainer, u, v): a compiled `SingleLoss` on pairs, int32 (batch, 2), and the tables of words and of
        neighbours, which are one if `shared`. The vectors are `u.embeddings`, (n, dimensions).
    """
    # tables
    n = len(frequencies)
    table = lambda name: layers.ReversibleEmbedding(n, dimensions, reverse_dtype="float32", name=name)
    u = table("u")
    v = u if shared else table("v")

    # wiring: x holds pairs of word i and neighbour j
    x = keras.Input((2,), dtype="int32")
    i, j = x[:, 0], x[:, 1]
    if negatives is None:
        tensors = {"scores": v(u(i), reverse=True), "j": j}  # <u_i, v> of all words, (batch, n)
    else:
        k = NoiseWords(noise(frequencies), negatives, seed=seed)(j)  # (batch, negatives)
        products = lambda a, b: ops.sum(ops.cast(a, "float32") * ops.cast(b, "float32"), -1)
        tensors = {"neighbour": products(u(i), v(j)), "noise": products(u(i)[:, None], v(k))}

    # loss
    def softmax(scores, j):
        return {"loss": ops.sparse_categorical_crossentropy(j, scores, from_logits=True)}

    def negative_sampling(neighbour, noise):
        return {"loss": ops.softplus(-neighbour) + ops.sum(ops.softplus(noise), -1)}

    trainer = SingleLoss(x, tensors, softmax if negatives is None else negative_sampling)
    trainer.compile(keras.optimizers.Adam(learning_rate))
    return trainer, u, v
