"""Check what unsharing does to the gradient, and count parameters (article 7187). Nothing is trained.

    python albert/identity.py       # seconds

An encoder whose L blocks share their weights gets random weights and is unshared. Then both make one step of SGD on the
same batch. The chain rule says that the shared block moves by the sum of what its copies move by (article 7187,
https://kexue.fm/archives/7187, argues without it). So at equal learning rates a copy moves 1/L as far, on average. The
second table has the numbers of parameters that the article rounds. All goes to `<out>/albert/identity/`
(`identity-smoke/` for that preset).
"""

from pathlib import Path

import numpy as np

from common.cli import figure_parser, main

PRESETS = {"smoke": {"depths": (2,), "seeds": 1}, "quick": {"depths": (2, 4, 12), "seeds": 3}}
SHAPE = {"vocabulary": 30, "length": 8, "width": 16, "heads": 4, "embedding": 4}
V, H, E, LAYERS = 21128, 768, 128, 12  # of the article: tokens, width, embedding, and the blocks of "base"


def make_parser():
    return figure_parser(
        __doc__,
        PRESETS,
        "depths and seeds, smoke: 2 blocks and 1 seed, quick (default): 2, 4 and 12 blocks and 3 seeds",
    )


def steps_of(depth, seed):
    """Return how one step of SGD with the learning rate 1 moves a shared block and its copies.

    Returns:
        (weights,) and (depth, weights): the changes of all weights of the block, in one row for each copy.
    """
    import keras

    from albert.encoder import block_variables, build_encoder
    from albert.unshare import unshare

    encoder, rng = build_encoder(depth=depth, **SHAPE), np.random.default_rng(seed)
    for weight in encoder.weights:
        weight.assign((weight.path.endswith("gamma")) + 0.3 * rng.normal(size=weight.shape))
    ids = rng.integers(1, SHAPE["vocabulary"], (16, SHAPE["length"])).astype("int32")
    target = rng.normal(size=(*ids.shape, SHAPE["width"]))
    moves = []
    for model in (encoder, unshare(encoder)):
        variables = block_variables(model)
        before = flat(variables)
        model.compile(keras.optimizers.SGD(1.0), "mse", run_eagerly=True)
        model.train_on_batch([ids, np.ones((*ids.shape, ids.shape[1]), bool)], target)
        moves.append(flat(variables) - before)
    return moves[0], moves[1].reshape(depth, -1)


def flat(variables):
    """Return the values of variables one after the other, float64 (n,)."""
    from keras import ops

    return np.concatenate([np.asarray(ops.convert_to_numpy(v), "float64").ravel() for v in variables])


def measure(depths, seeds):
    """Return ({depth: {column: numbers, one per seed}}, sizes of the parts for the last depth, (seeds, depth))."""
    import keras

    rows = {}
    for depth in depths:
        parts, row = [], rows.setdefault(f"{depth} blocks", {})
        for dtype in ("float64", "float32"):
            keras.config.set_dtype_policy(dtype)
            for seed in range(seeds):
                shared, copies = steps_of(depth, seed)
                size = np.linalg.norm(shared)
                gap = abs(shared - copies.sum(0)).max() / abs(shared).max()
                row.setdefault(f"greatest error of the sum, {dtype}", []).append(gap)
                if dtype == "float64":
                    row.setdefault("mean step of a copy", []).append(np.linalg.norm(copies.mean(0)) / size)
                    parts.append(np.linalg.norm(copies, axis=1) / size)
    return rows, np.array(parts)


def parameters():
    """Return {what: number of parameters} for the article's sizes, counted by Keras."""
    import keras

    from albert.encoder import make_block

    block, x = make_block(H, 12, "block_"), keras.Input((2, H))
    block[0](x, x), block[1](x), block[3](block[2](x)), block[4](x)
    of_block = sum(layer.count_params() for layer in block)
    return {
        "embedding V x H": V * H,
        "embedding V x E and E x H": V * E + E * H,
        "a block": of_block,
        f"{LAYERS} blocks": LAYERS * of_block,
    }


def run(args):
    import keras

    from common.experiments.tables import small_table
    from common.files import atomic_write
    from common.plots.charts import plot_bars
    from common.streams import stage
    from common.training.run_dir import write_results

    output_dir = Path(args.out) / "albert" / ("identity-smoke" if args.preset == "smoke" else "identity")
    policy = keras.config.dtype_policy()
    try:
        with stage("one step of SGD"):
            rows, parts = measure(**PRESETS[args.preset])
    finally:
        keras.config.set_dtype_policy(policy)
    numbers = parameters()
    lines = [f"| {name} | {value:,} |" for name, value in numbers.items()]
    greatest = {name: {column: max(v) for column, v in row.items()} for name, row in rows.items()}
    text = small_table("encoder", greatest) + "\n| parameters | |\n|---|---|\n" + "\n".join(lines) + "\n"
    atomic_write(output_dir / "table.md", lambda path: path.write_text(text, encoding="utf-8"))
    bars = {f"block {i}": {"part of the gradient": list(sizes)} for i, sizes in enumerate(parts.T, 1)}
    path = output_dir / "figures/parts.png"
    plot_bars(path, bars, "size of the part, over that of the sum", "The gradient of a shared block, in its parts")
    metrics = {f"{name}/{column}": value for name, row in greatest.items() for column, value in row.items()}
    write_results(output_dir, metrics | {f"parameters/{name}": value for name, value in numbers.items()})
    print(text, path, sep="\n")


if __name__ == "__main__":
    main(run, make_parser())
