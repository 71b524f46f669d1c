"""`EndlessBatches`: an array of images or points as the shuffled, endless sequence of batches that `fit` trains on."""

import keras
import numpy as np

from common.data.images import Images, to_float
from common.errors import UserError


class EndlessBatches(keras.utils.PyDataset):
    """Full batches of images (or points), in an order that depends on nothing but (seed, step).

    Item `idx` is the batch of global step g = start + idx: position g % (N // batch_size) of epoch g // (N //
    batch_size), whose order is a fresh permutation of the N images (the remainder of an epoch is dropped). Training
    that resumes with `start=k` therefore continues the sequence exactly.

    The sequence has no end, so say how much of it an epoch of `fit` is:

        model.fit(batches, steps_per_epoch=batches.steps_per_epoch, epochs=3, shuffle=False)

    (With a length of its own, Keras would ask for items 0, 1, ... again in every epoch, shuffled by Python's global
    random state.)

    Args:
        images: uint8 (N, height, width, channels), or an `Images`; or float32 (N, ...), passed on as it is.
        batch_size: images per batch; more than N is a `UserError`.
        seed: non-negative integer.
        start: global step of item 0.
        flip: mirror each image left to right with probability 1/2.
        dtype: of the batches of images: "float32" in [-1, 1], or "uint8" as stored.
    """

    def __init__(self, images, batch_size, seed=0, start=0, flip=False, dtype="float32"):
        super().__init__()
        # A plain view: indexing a memory map directly costs more than the copy itself for small batches.
        self.images = np.asarray(images.array if isinstance(images, Images) else images)
        points = self.images.dtype == np.float32 and self.images.ndim > 1 and not flip
        if not points and (self.images.dtype != np.uint8 or self.images.ndim != 4):
            raise ValueError(f"expected uint8 images NHWC, received {self.images.dtype} of shape {self.images.shape}")
        if dtype not in ("float32", "uint8"):
            raise ValueError(f"dtype must be 'float32' or 'uint8', received {dtype!r}")
        if batch_size < 1:
            raise UserError(f"--batch-size must be at least 1, not {batch_size}")
        if len(self.images) < batch_size:
            raise UserError(f"there are only {len(self.images)} images: lower --batch-size from {batch_size}")
        self.batch_size, self.seed, self.start, self.flip, self.dtype = batch_size, seed, start, flip, dtype
        self.steps_per_epoch = len(self.images) // batch_size
        self._order = (None, None)  # epoch, permutation

    @property
    def num_batches(self):
        return None  # endless

    def __getitem__(self, idx):
        """The batch of global step start + idx, (batch_size, ...)."""
        step = self.start + idx
        epoch, position = divmod(step, self.steps_per_epoch)
        rows = self._permutation(epoch)[position * self.batch_size : (position + 1) * self.batch_size]
        batch = self.images[rows]
        if self.flip:
            # numpy pads a seed with zeros, [a, b] = [a, b, 0]: the third word keeps this stream off the permutations'.
            mirrored = np.random.default_rng([self.seed, step, 1]).random(self.batch_size) < 0.5
            pixels = batch.view(f"V{batch.shape[-1]}")  # moved whole, five times as fast as channel by channel
            pixels[mirrored] = pixels[mirrored, :, ::-1]
        return to_float(batch) if batch.dtype == np.uint8 and self.dtype == "float32" else batch

    def _permutation(self, epoch):
        cached, order = self._order
        if cached != epoch:
            order = np.random.default_rng([self.seed, epoch]).permutation(len(self.images))
            self._order = (epoch, order)
        return order
