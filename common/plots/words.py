"""The words that stand in figures for the names of flags, metrics and data sets."""

WORDS = {
    # metrics
    "bits_per_dim": "bits/dim",
    "recon / mean image": "error / that of the mean image",
    "z_corr": "correlation of z and its code",
    # losses and methods
    "gan_qp": "GAN-QP",
    "gan_qp_l2": "GAN-QP, L2",
    "infogan": "InfoGAN",
    "jsd": "JSD",
    "lsgan": "LSGAN",
    "mse": "mean square error",
    "r3gan": "R3GAN",
    "rahinge": "RaHinge",
    "ralsgan": "RaLSGAN",
    "rasgan": "RaSGAN",
    "rsgan": "RSGAN",
    "rsgan_gp": "RSGAN-GP",
    "rsgan_linear": "RSGAN, linear",
    "rsgan_minimax": "RSGAN, minimax",
    "rsgan_r1": "RSGAN, R1",
    "rsgan_sn": "RSGAN-SN",
    "sgan": "SGAN",
    "sgan_linear": "SGAN, linear",
    "sgan_minimax": "SGAN, minimax",
    "sgan_r1": "SGAN, R1",
    "sgan_r1_r2": "SGAN, R1 and R2",
    "sngan": "SNGAN",
    "tsgan": "T-SGAN",
    "twgan": "T-WGAN",
    "wgan": "WGAN",
    "wgan_div": "WGAN-div",
    "wgan_gp": "WGAN-GP",
    "wgan_gp_linear": "WGAN-GP, linear",
    "wgan_sn": "WGAN-SN",
    # generators without a critic
    "glann": "GLANN",
    "glann_features": "GLANN, features",
    "glo": "GLO",
    "glo_features": "GLO, features",
    "imle": "IMLE",
    "imle_features": "IMLE, features",
    "imle_reverse": "IMLE, reversed",
    "vae": "VAE",
    "vae_gaussian": "VAE, Gaussian pixels",
    # classifiers of spectra
    "average_pool": "average pooling",
    "cross_entropy": "cross-entropy",
    "f1_from_scratch": "macro-F1 from scratch",
    # recurrent cells
    "gru": "GRU",
    "gru_bias_0": "GRU, forget bias 0",
    "gru_bias_1": "GRU, forget bias 1",
    "keras_gru": "GRU of Keras",
    "keras_lstm": "LSTM of Keras",
    "lstm": "LSTM",
    "lstm_bias_0": "LSTM, forget bias 0",
    "lstm_bias_1": "LSTM, forget bias 1",
    "relu": "ReLU",
    "reset_output_bias_0": "reset output, forget bias 0",
    "reset_output_bias_1": "reset output, forget bias 1",
    # divergences
    "gan": "GAN",
    "hellinger": "Hellinger",
    "jeffrey": "Jeffrey",
    "js": "JS",
    "kl": "KL",
    "neyman": "Neyman",
    "pearson": "Pearson",
    "reverse_kl": "reverse KL",
    # data sets
    "8gaussians": "8 Gaussians",
    "25gaussians": "25 Gaussians",
    "celeba": "CelebA",
    "celeba_hq": "CelebA-HQ",
    "cifar10": "CIFAR-10",
    "fashion_mnist": "Fashion-MNIST",
    "ffhq": "FFHQ",
    "lfw": "LFW",
    "lsun_bedroom": "LSUN bedrooms",
    "lsun_church": "LSUN churches",
    "mnist": "MNIST",
    "stacked_mnist": "stacked MNIST",
    "stacked_mnist_2": "stacked MNIST of two digits",
}


def in_words(name):
    """Return a name of a flag, metric or data set as a figure shows it: "critic_gap" becomes "critic gap".

    The name of a user's folder, folder:PATH, stays as it is.

    Args:
        name: str, or a value whose text is the name.
    """
    name = str(name)
    return name if name.startswith("folder:") else WORDS.get(name, name.replace("_", " "))


def seeds_in_words(seeds):
    """Return "1 seed" or "3 seeds"."""
    return f"{seeds} seed{'s' * (seeds != 1)}"
