"""Macro-F1, and a differentiable stand-in for it as a loss.

Over a batch, with one-hot y and probabilities p, the article's score of C classes is

    s = (2 / C) * sum over c of (sum over b of y_bc p_bc) / (sum over b of (y_bc + p_bc)),

and the loss is -log(s). With one-hot p it is the macro-F1, for F1 = 2 TP / (number labelled + number predicted).
"""

import keras
import numpy as np
from keras import ops

EPSILON = 1e-7
PLATEAU = np.log(4)  # least loss of a network whose output does not depend on its input, for four classes
LEFT = 0.3  # of s: a network that reaches it has left the plateau, on which s is at most 0.25


def soft_macro_f1(y, p):
    """Return the score s, a scalar tensor from 0 to 1.

    Args:
        y: one-hot labels (batch, classes).
        p: probabilities (batch, classes).
    """
    both, either = ops.sum(y * p, 0), ops.sum(y + p, 0)
    return ops.mean(2 * both / (either + EPSILON))


@keras.saving.register_keras_serializable("kexue")
class SoftMacroF1(keras.losses.Loss):
    """The loss -log(s) of a whole batch.

    It is one number a batch and no mean over samples: two halves of a batch have other losses than the whole. So use a
    batch in which every class occurs, and no sample weights. Under several devices each takes the loss of its part.

    Call arguments: one-hot labels (batch, classes), and probabilities of the same shape.
    """

    def __call__(self, y_true, y_pred, sample_weight=None):
        if sample_weight is not None:
            raise ValueError(f"SoftMacroF1 is no mean over samples: it takes no weights. Received: {sample_weight}")
        return super().__call__(y_true, y_pred)

    def call(self, y_true, y_pred):
        return -ops.log(soft_macro_f1(ops.cast(y_true, y_pred.dtype), y_pred) + EPSILON)


def f1_scores(labels, predicted, classes):
    """Return the F1 of each class, (classes,), 0 for one that is neither labelled nor predicted.

    Args:
        labels: int (n,).
        predicted: int (n,).
        classes: int, number of classes.
    """
    counts = confusion(labels, predicted, classes)
    either = counts.sum(0) + counts.sum(1)
    return np.divide(2 * np.diag(counts), either, out=np.zeros(classes), where=either > 0)


def confusion(labels, predicted, classes):
    """Return the counts (classes, classes): a row for each label, a column for each prediction."""
    return np.bincount(classes * np.asarray(labels) + predicted, minlength=classes**2).reshape(classes, classes)
