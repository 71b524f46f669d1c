"""`--mixed-precision` in every script: networks compute in half precision, and noise, losses and weights in float32."""

import math

import keras
import numpy as np
import pytest

from albert.encoder import build_encoder, build_mlm_head
from common.losses.gradient_penalties import RandomInterpolation, SquaredGradientNorm
from common.models.layers import Latent
from common.training.skip_gram import build_skip_gram
from couplet.networks import build_tagger
from enlarge import transformer
from flow.layers.base import InvertibleLayer
from flow.layers.likelihood import UniformNoise
from tests.helpers.arrays import numpy
from tests.helpers.tiny_trainers import SCRIPTS, tiny

DRAWS = 20_000
NOISE = {  # class -> function that returns `DRAWS` values, with noise added at grey 200
    Latent: lambda layer: layer(np.zeros((DRAWS, 1), "float32"))[:, 0],
    UniformNoise: lambda layer: layer(np.full((DRAWS, 1), 200, "float32"), training=True),
    RandomInterpolation: lambda layer: layer(np.zeros((DRAWS, 1), "float32"), np.ones((DRAWS, 1), "float32")),
}
every_dtype = pytest.mark.parametrize("dtype", ["float16", "bfloat16"])


def layers_of(model, kind):
    """Return the layers of a class at any depth."""
    return [layer for layer in model._flatten_layers() if isinstance(layer, kind)]


def dtype_of(tensor):
    return keras.backend.standardize_dtype(tensor.dtype)


@every_dtype
@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_trains_in_half_precision(name, dtype):
    keras.config.set_dtype_policy(f"mixed_{dtype}")
    case = tiny(name)
    if isinstance(case.network, keras.Model):
        assert {dtype_of(tensor) for tensor in case.network.outputs} == {"float32"}, "what a network returns"
    for model in case.players():
        products = layers_of(model, (keras.layers.Dense, keras.layers.Conv2D, keras.layers.Conv2DTranspose))
        assert sum(layer.compute_dtype == dtype for layer in products) >= len(products) / 2
        assert {v.dtype for v in model.trainable_variables} == {"float32"}
        in_float32 = layers_of(model, (*NOISE, SquaredGradientNorm, InvertibleLayer))
        assert {layer.compute_dtype for layer in in_float32} <= {"float32"}
        for layer in layers_of(model, tuple(NOISE)):
            values = numpy(NOISE[type(layer)](layer))
            assert values.dtype == "float32" and len(np.unique(values)) > 0.8 * DRAWS

        outputs = model(case.batch(), training=True)
        values = outputs | model.loss_function(**outputs)
        for key, value in values.items():
            assert dtype_of(value) == "float32" and np.isfinite(numpy(value)).all(), key

        model.run_eagerly = True  # nothing to compile for one step
        if dtype == "float16":  # where a training arrives after a few steps without effect
            model.optimizer.dynamic_scale.assign(2.0**8)
        before = [numpy(v) for v in model.trainable_variables]
        logs = model.train_on_batch(case.batch(), return_dict=True)
        assert all(map(math.isfinite, logs.values())), logs
        after = [numpy(v) for v in model.trainable_variables]
        assert all(np.isfinite(v).all() for v in after)
        assert sum((a != b).any() for a, b in zip(before, after, strict=True)) > len(after) / 3


@pytest.mark.parametrize("name", ["glow", "nice", "realnvp", "realnvp-plane"])
def test_a_flow_in_half_precision_has_nearly_the_likelihood_of_float32(name):
    """Bits per dimension of the same noise and weights, which are random, as couplings start as the identity."""

    def bits(policy):
        keras.config.set_dtype_policy(policy)
        trainer, flow, *_ = case = tiny(name)
        for i, weight in enumerate(flow.trainable_weights):
            weight.assign(numpy(weight) + np.random.default_rng(i).normal(0, 0.1, weight.shape))
        outputs = trainer(case.batch(32), training=True)
        dims = math.prod(outputs["z"].shape[1:])
        return numpy(trainer.loss_function(**outputs)["loss"]) / (dims * math.log(2))

    expected = bits("float32")
    for dtype, tolerance in {"float16": 0.003, "bfloat16": 0.02}.items():
        assert 0 < np.abs(bits(f"mixed_{dtype}") - expected).mean() < tolerance, dtype


@every_dtype
def test_logits_of_texts_are_float32(dtype):
    """Rounded to half precision, likely characters would tie, and an answer take the first in the alphabet."""
    keras.config.set_dtype_policy(f"mixed_{dtype}")
    ids = np.zeros((2, 5), "int32")
    encoder = build_encoder(11, 5, width=8, depth=1, heads=2, embedding=4)
    vectors = keras.random.normal((2, 5, 8), seed=0)
    logits = {
        "couplet": build_tagger("gated", 9, 8, 1)(ids),
        "enlarge": transformer.decoder(7, 5, width=8, depth=1, heads=2)(ids),
        "albert": build_mlm_head(encoder)(vectors),
    }
    assert {name: dtype_of(x) for name, x in logits.items()} == dict.fromkeys(logits, "float32")
    kernel = numpy(encoder.get_layer("tokens").embeddings)
    assert len(np.unique(numpy(logits["albert"]))) > 100 and kernel.dtype == np.float32
    for negatives in (None, 3):
        trainer, *_ = build_skip_gram(np.ones(9), 4, 1e-3, negatives)
        scores = trainer(np.array([[0, 1], [2, 3]], "int32"))
        assert {dtype_of(x) for name, x in scores.items() if name != "j"} == {"float32"}
