"""Check that an enlarged Transformer computes the same function, and break every rule once (article 8444).

    python enlarge/exactness.py                     # a minute on one CPU core, nothing is trained
    python enlarge/exactness.py --preset smoke      # one block, one seed: seconds

The models of `enlarge/transformer.py` get random weights and are made 2, 3 and 4 times as wide by `enlarge.lossless`.
The first table shows the greatest difference of their logits from those of the small model, in float64 and in float32.
Then each rule is broken alone, among them the one that the article (https://kexue.fm/archives/8444) prints wrongly. The
last table shows what the enlargement does to the scores of RoPE. All goes to `<out>/enlarge/exactness/`
(`exactness-smoke/` for that preset).
"""

from pathlib import Path

import numpy as np

from common.cli import figure_parser, main

SIZES = {"vocabulary": 30, "length": 9, "width": 12, "heads": 3}
MODELS = {  # name: (encoder or decoder, its options)
    "BERT (encoder, tied logits)": ("encoder", {}),
    "BERT with ReLU": ("encoder", {"activation": "relu"}),
    "GPT-2 (decoder, tied logits)": ("decoder", {}),
    "T5-like decoder (unscaled attention, untied logits)": ("decoder", {"scaled": False, "tied": False}),
    "decoder with RoPE": ("decoder", {"rotary": True}),
    "encoder, layer norm epsilon 1e-3": ("encoder", {"epsilon": 1e-3}),
}
PRESETS = {
    "smoke": {"seeds": 1, "depth": 1, "factors": (2,)},
    "quick": {"seeds": 5, "depth": 3, "factors": (2, 3, 4)},
}


def make_parser():
    return figure_parser(
        __doc__, PRESETS, "models and seeds, smoke: 1 block and 1 seed, quick (default): 3 blocks and 5 seeds"
    )


def random_model(kind, seed, depth=3, **options):
    """Return a model of `enlarge.transformer` of the sizes `SIZES`, all of whose weights are random, biases too."""
    from enlarge import transformer

    model = getattr(transformer, kind)(depth=depth, **SIZES | options)
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        noise = rng.normal(size=weight.shape)
        if weight.name in ("gamma", "beta", "bias"):
            weight.assign((weight.name == "gamma") + 0.2 * noise)
        else:
            weight.assign(noise / np.sqrt(weight.shape[0]) if weight.name == "kernel" else 0.5 * noise)
    return model


def token_ids(seed):
    """Return one row of random token ids, (1, length)."""
    return np.random.default_rng([seed, 1]).integers(0, SIZES["vocabulary"], (1, SIZES["length"]))


def logits_of(model, ids):
    """Return the logits of a model as an array (1, length, vocabulary) in float64."""
    from keras import ops

    return np.asarray(ops.convert_to_numpy(model(ids)), "float64")


def difference(small, large, seed):
    """Return the greatest absolute difference of the logits of two models."""
    ids = token_ids(seed)
    return abs(logits_of(small, ids) - logits_of(large, ids)).max()


# what can be done wrongly: each function spoils a model that was enlarged by k


def scale_weights(model, parts, factor, names=("kernel", "bias")):
    """Multiply weights of some parts of a model, those of the given names, by a factor."""
    from enlarge.lossless import part_of

    for layer in model.layers:
        for weight in layer.weights if part_of(layer) in parts else ():
            if weight.name in names:
                weight.assign(weight * factor)


def print_bias_as_in_article(model, k):
    """Give the second feed-forward layer the bias R(b)/k, as the article's summary prints it, not R(b)/sqrt(k)."""
    scale_weights(model, ["feedforward_2"], k**-0.5, ["bias"])


def leave_out_fourth_root(model, k):
    """Give q and k the factors of v, without the k^(1/4) that makes up for the divisor sqrt(head_dim)."""
    scale_weights(model, ["query", "key"], k**-0.25)


def tile_heads(model, k):
    """Let the features before and after the attention be tiled, (x1, x2, x1, x2), in place of (x1, x1, x2, x2).

    Between the blocks the order does not matter; but here the heads take their parts of the vector.
    """
    from enlarge.lossless import part_of

    for layer in model.layers:
        part = part_of(layer)
        if part in ("query", "key", "value", "attention_output"):
            kernel, bias = layer.get_weights()
            tiled = np.arange(len(kernel)).reshape(-1, k).T.ravel()
            layer.set_weights([kernel[tiled], bias] if part == "attention_output" else [kernel[:, tiled], bias[tiled]])


def divide_head_norm_again(model, k):
    """Divide gamma and beta of the head's layer norm by a further sqrt(k)."""
    scale_weights(model, ["head_norm"], k**-0.5, ["gamma", "beta"])


def keep_epsilon(model, k):
    """Give the layer norms the epsilon of the small model."""
    import keras

    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.LayerNormalization)]
    epsilon = max(layer.epsilon for layer in norms)  # that of the head's norm, whose input is a pure repetition
    for layer in norms:
        layer.epsilon = epsilon


def keep_frequencies(model, k):
    """Give RoPE the usual table of frequencies for the longer heads."""
    for layer in model.layers:
        if hasattr(layer, "rotary"):
            layer.rotary = 1


def use_relu_rule(model, k):
    """Give the feed-forward layers the rule that the article has for ReLU: both divided by sqrt(k) in their output."""
    scale_weights(model, ["feedforward_1"], k**-0.5)
    scale_weights(model, ["feedforward_2"], k**0.5, ["kernel"])


BREAKS = {  # name: (model, what is done to it when it is enlarged)
    "tiled: x1 x2 x1 x2": ("encoder", {}, tile_heads),
    "no fourth root for q, k": ("encoder", {}, leave_out_fourth_root),
    "RoPE with the usual frequencies": ("encoder", {"rotary": True}, keep_frequencies),
    "a further 1/sqrt(2) in the head's layer norm": ("encoder", {}, divide_head_norm_again),
    "bias b/2, as the article prints": ("encoder", {}, print_bias_as_in_article),
    "rule for ReLU, with GeLU": ("encoder", {}, use_relu_rule),
    "layer norm epsilon 1e-3 kept": ("encoder", {"epsilon": 1e-3}, keep_epsilon),
    "layer norm epsilon 1e-12 kept": ("encoder", {"epsilon": 1e-12}, keep_epsilon),
    "rule for ReLU, with ReLU": ("encoder", {"activation": "relu"}, use_relu_rule),
    "unscaled attention, no fourth root": ("encoder", {"scaled": False}, lambda model, k: None),
    "all rules kept": ("encoder", {}, lambda model, k: None),
}


def broken_difference(name, seed, k=2, depth=3):
    """Return `difference` for a model of `BREAKS`, enlarged and then spoiled."""
    from enlarge.lossless import enlarge

    kind, options, spoil = BREAKS[name]
    small = random_model(kind, seed, depth, **options)
    large = enlarge(small, k)
    spoil(large, k)
    return difference(small, large, seed)


def rotary_differences(seed, k=2, head_dim=4, length=9):
    """Return the greatest difference of RoPE's scores from those of the small head, and their greatest size.

    Args:
        seed: int.
        k: int.
        head_dim: int, of the small head.
        length: int, number of positions.
    """
    from keras import ops

    from enlarge.layers import rotary_frequencies, rotate
    from enlarge.rules import repeat

    query, key = np.random.default_rng([seed, 2]).normal(size=(2, 1, length, 1, head_dim))

    def scores(group, copies, times):
        q, x = (rotate(ops.convert_to_tensor(repeat(a, -1, times, group)), rotary_frequencies(times * head_dim, copies))
                for a in (query, key))  # fmt: skip
        return ops.convert_to_numpy(ops.einsum("bqhd,bkhd->bhqk", q, x)) / (times * np.sqrt(head_dim))

    small = scores(1, 1, 1)
    wide = {"plain repeat, usual frequencies": (1, 1), "pairs repeated, usual frequencies": (2, 1)}
    wide |= {"plain repeat, frequencies repeated": (1, k), "pairs and frequencies repeated": (2, k)}
    differences = {name: abs(scores(group, copies, k) - small).max() for name, (group, copies) in wide.items()}
    return differences | {"greatest score": abs(small).max()}


def draw(path, differences):
    """Draw {what was done: differences, one per seed} as bars on a logarithmic axis into a PNG."""
    from common.plots.charts import COLOURS, blank_figure, write_figure

    figure = blank_figure(8.4, 4.4)
    axes = figure.add_subplot()
    for row, values in enumerate(reversed(differences.values())):
        is_exact = np.median(values) < 1e-9
        axes.barh(row, np.median(values), left=0, color=COLOURS[2 if is_exact else 1], height=0.7)
        axes.plot(values, [row] * len(values), "o", color="white", markeredgecolor="#222222", markersize=3.5)
    axes.set_yticks(range(len(differences)), list(reversed(differences)), fontsize=9)
    axes.set(xscale="log", xlim=(1e-15, 30), xlabel="greatest difference of the logits, float64 (points: seeds)")
    axes.set_title("A BERT made twice as wide: which rule is needed for the same logits?", fontsize=11)
    axes.grid(color="#e4e4e8", linewidth=0.8, axis="x")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    write_figure(path, figure)


def exact_rows(seeds, depth, factors):
    """Return {model: {"k = 2, float64": differences, ...}}, one difference per seed."""
    import keras

    from enlarge.lossless import enlarge

    rows = {}
    for name, (kind, options) in MODELS.items():
        row = rows.setdefault(name, {})
        for dtype in ("float64", "float32"):
            keras.config.set_dtype_policy(dtype)
            for seed in range(seeds):
                small = random_model(kind, seed, depth, **options)
                for k in factors:
                    value = difference(small, enlarge(small, k), seed)
                    row.setdefault(f"k = {k}, {dtype}", []).append(value)
    return rows


def run(args):
    import keras

    from common.experiments.tables import small_table
    from common.files import atomic_write
    from common.plots.words import seeds_in_words
    from common.streams import stage
    from common.training.run_dir import write_results

    seeds, depth, factors = PRESETS[args.preset].values()
    output_dir = Path(args.out) / "enlarge" / ("exactness-smoke" if args.preset == "smoke" else "exactness")
    policy = keras.config.dtype_policy()
    try:
        with stage("enlarging each model"):
            exact = exact_rows(seeds, depth, factors)
        keras.config.set_dtype_policy("float64")
        with stage("breaking each rule"):
            broken = {name: [broken_difference(name, seed, depth=depth) for seed in range(seeds)] for name in BREAKS}
        rotary = [rotary_differences(seed) for seed in range(seeds)]
    finally:
        keras.config.set_dtype_policy(policy)
    rotary = {name: [row[name] for row in rotary] for name in rotary[0]}
    draw(output_dir / "figures/breaks.png", broken)
    text = "Greatest difference of the logits, of all seeds:\n\n"
    text += small_table("model", {name: {key: max(v) for key, v in row.items()} for name, row in exact.items()})
    for title, values in (("One rule broken, k = 2, float64", broken), ("Scores of RoPE, k = 2", rotary)):
        rows = {name: {"median": np.median(v), "least": min(v), "greatest": max(v)} for name, v in values.items()}
        text += f"\n{title}, {seeds_in_words(seeds)}:\n\n" + small_table("what was done", rows)
    atomic_write(output_dir / "table.md", lambda path: path.write_text(text, encoding="utf-8"))
    metrics = {f"exact/{name}/{key}": max(v) for name, row in exact.items() for key, v in row.items()}
    metrics |= {f"broken/{name}": np.median(v) for name, v in broken.items()}
    metrics |= {f"rotary/{name}": np.median(v) for name, v in rotary.items()}
    write_results(output_dir, metrics)
    print(text, output_dir / "figures/breaks.png", sep="\n")


if __name__ == "__main__":
    main(run, make_parser())
