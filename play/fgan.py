"""f-GAN (6016): two samples, and how far apart they are by every divergence."""

import numpy as np

from common.errors import UserError
from common.plots.charts import blank_figure
from play.pictures import shown, to_array

STEPS, BATCH, WIDTH = 400, 512, 32
X = np.linspace(-30, 30, 6001)


def build_critic():
    """Return (trainer, critic): the critic's score is trained to be log(p/q), by the loss of SGAN.

    The trainer takes pairs (n, 2) of a point of p and one of q.
    """
    import keras
    from keras import layers, ops

    from common.losses.adversarial import get_loss
    from common.training.single_loss import SingleLoss

    loss = get_loss("sgan")
    critic = keras.Sequential([keras.Input((1,)), *(layers.Dense(WIDTH, "tanh") for _ in range(2)), layers.Dense(1)])
    pairs = keras.Input((2,))
    scores = {"real": critic(pairs[:, :1]), "fake": critic(pairs[:, 1:])}
    trainer = SingleLoss(pairs, scores, lambda real, fake: {"loss": ops.mean(loss.critic(real, fake))})
    trainer.compile(keras.optimizers.Adam(5e-3, beta_1=0.5))
    return trainer, critic


def estimate(mean, std, n, seed=0):
    """Estimate all divergences of N(mean, std^2) from N(0, 1) by samples, with one critic.

    The score s = log(p/q) of the critic gives each divergence its best critic T = f'(e^s), on points that the critic
    has not seen. So every estimate is a lower bound, up to the noise of these points.

    Args:
        mean: float.
        std: float, above 0.
        n: int, points of each sample; half of them train the critic.
        seed: int.

    Returns:
        (rows, samples, score): rows of (name, estimate, exact value); the two samples (2, n); the learned score at `X`.
    """
    import keras
    from keras import ops

    from common import backend
    from fgan.divergences import get_divergence
    from fgan.names import NAMES
    from fgan.quadrature import normal

    if std <= 0:
        raise UserError(f"the standard deviation must be above 0. Received: {std}")
    keras.utils.set_random_seed(seed)
    rng = np.random.default_rng(seed)
    samples = np.stack([mean + std * rng.standard_normal(n), rng.standard_normal(n)]).astype("float32")
    training, measuring = samples[:, : n // 2].T, samples[:, n // 2 :]
    trainer, critic = build_critic()
    for _ in range(STEPS):
        backend.train_on_batch(trainer, training[rng.integers(len(training), size=BATCH)])
    score = lambda x: ops.convert_to_numpy(critic(np.reshape(x, (-1, 1)).astype("float32")))[:, 0].astype("float64")
    u_real, u_fake = (np.exp(np.clip(score(x), -30, 30)) for x in measuring)
    rows = []
    for name in NAMES:
        divergence = get_divergence(name)
        v_real, v_fake = (divergence.optimal_score(u).astype("float32") for u in (u_real, u_fake))
        t = ops.convert_to_numpy(divergence.activation(v_real)).astype("float64")
        negative_g = ops.convert_to_numpy(divergence.negative_conjugate(v_fake)).astype("float64")
        exact = divergence.from_densities(normal(X, mean, std), normal(X, 0, 1), X)
        rows.append((name, float(t.mean() + negative_g.mean()), exact))
    return rows, samples, score(X)


def draw(samples, score, mean, std):
    """Return a picture of both samples, and of the learned log ratio beside the true one."""
    from fgan.quadrature import normal

    drawn = blank_figure(7.2, 2.8)
    left, right = drawn.subplots(1, 2)
    low, high = min(-4, mean - 4 * std), max(4, mean + 4 * std)
    for sample, colour, label in zip(samples, ("#2f6c8f", "#d9643f"), "pq", strict=True):
        left.hist(sample, np.linspace(low, high, 60), density=True, alpha=0.55, color=colour, label=label)
    with np.errstate(divide="ignore"):
        ratio = np.log(normal(X, mean, std)) - np.log(normal(X, 0, 1))
    shown = (low <= X) & (high >= X)
    right.plot(X[shown], ratio[shown], "--", color="#4a4a55", label="log p/q")
    right.plot(X[shown], score[shown], color="#5c9c76", label="critic")
    right.set_ylim(-12, 12)
    for axes in (left, right):
        axes.legend(fontsize=8, frameon=False)
        axes.tick_params(labelsize=8)
    return to_array(drawn)


def build(words, safe, opened):
    import gradio as gr

    with gr.Row():
        mean = gr.Slider(-4, 4, 1, step=0.1, label=words["fgan/mean"])
        std = gr.Slider(0.3, 2, 1, step=0.05, label=words["fgan/std"])
        n = gr.Slider(100, 20_000, 4000, step=100, label=words["fgan/n"])
    go = gr.Button(words["fgan/go"], variant="primary", elem_id="fgan-go")
    picture = shown(words["fgan/picture"], "fgan-picture")
    table = gr.Dataframe(headers=[words[f"fgan/{key}"] for key in ("name", "estimate", "exact")], interactive=False)
    seed = gr.State(0)

    def show(mean, std, n, seed):
        rows, samples, score = estimate(mean, std, int(n), seed)
        number = lambda x: f"{x:.4f}" if abs(x) < 1e6 else "∞"
        return draw(samples, score, mean, std), [[row[0], number(row[1]), number(row[2])] for row in rows], seed + 1

    go.click(safe(show), [mean, std, n, seed], [picture, table, seed], concurrency_id="network")
