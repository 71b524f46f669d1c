"""The weights of the step with the highest macro-F1 on the validation set, as the article keeps them."""

import numpy as np
from keras import ops

from common.models.inference import predict
from spectra.f1 import LEFT, f1_scores, soft_macro_f1


def score(network, x, labels):
    """Return (F1 of each class, soft macro-F1, predicted classes) of a network over a whole set.

    Args:
        network: see `spectra.network.build_network`.
        x: float32 (n, points, 1).
        labels: int (n,).
    """
    scores = predict(network, x)
    predicted, classes = scores.argmax(-1), scores.shape[-1]
    soft = soft_macro_f1(ops.one_hot(labels, classes), ops.softmax(ops.convert_to_tensor(scores)))
    return f1_scores(labels, predicted, classes), float(soft), predicted


class BestWeights:
    """Measures a network after each interval of a training and keeps its best weights, in the checkpoint too.

    Give `measure` to `common.training.loop.train` as `on_interval`, and this object in `stateful`.

    Args:
        network: see `spectra.network.build_network`.
        x: float32 (n, points, 1), spectra of the validation set.
        labels: int (n,).
    """

    def __init__(self, network, x, labels):
        self.network, self.x, self.labels = network, x, labels
        self.history, self.weights = [], []  # rows (step, macro-F1, soft macro-F1); arrays of the best step

    def measure(self, step):
        """Measure the network at a step, and keep its weights if its macro-F1 is the highest so far."""
        scores, soft, _ = score(self.network, self.x, self.labels)
        if not self.history or scores.mean() > max(row[1] for row in self.history):
            self.weights = [ops.convert_to_numpy(ops.convert_to_tensor(v)) for v in self.network.variables]
        self.history.append((step, scores.mean(), soft))

    def state(self):
        """Return the dict name -> array that the checkpoint saves."""
        return {"history": np.array(self.history)} | {f"w{i:03d}": w for i, w in enumerate(self.weights)}

    def restore(self, state):
        """Restore what `state` returned; the dict is empty at the beginning of a run."""
        self.history = [(int(step), *values) for step, *values in state.get("history", [])]
        self.weights = [state[name] for name in sorted(state) if name != "history"]

    def load(self):
        """Give the network its best weights, and the state that its dropout had with them."""
        for variable, value in zip(self.network.variables, self.weights, strict=True):
            variable.assign(value)

    def curve(self):
        """Return (steps, macro-F1 on the validation set)."""
        return [row[0] for row in self.history], [row[1] for row in self.history]

    def step_left(self):
        """Return the first measured step at which the soft macro-F1 is above `LEFT`, or None."""
        return next((step for step, _, soft in self.history if soft > LEFT), None)
