"""Feed images, points or words to `fit` as an endless, shuffled sequence of batches."""

import keras
import numpy as np

from common.data.images import Images, to_float
from common.errors import UserError


class EndlessBatches(keras.utils.PyDataset):
    """Endless sequence of full batches whose order depends on nothing but the seed and the step.

    Item `i` is the batch of global step `start + i`. Each epoch has `N // batch_size` batches of a fresh random
    permutation of the N images; the rest of the epoch is dropped. A training that resumes at step k with `start=k`
    therefore continues the same sequence exactly.

    The sequence has no length, so tell `fit` how many steps an epoch has:

    ```python
    batches = EndlessBatches(images, batch_size=64)
    model.fit(batches, steps_per_epoch=batches.steps_per_epoch, epochs=3, shuffle=False)
    ```

    With a length, Keras would ask for items 0, 1, ... again in every epoch, in an order from Python's global random
    state.

    Args:
        images: uint8 (N, height, width, channels), or an `Images`; or float32 points or int32 indices (N, ...), passed
            on unchanged.
        batch_size: images per batch, 1 to N.
        seed: non-negative integer (default 0).
        start: global step of item 0 (default 0).
        flip: whether to mirror each image left to right with probability 1/2 (default False).
        dtype: of image batches: "float32" in [-1, 1] (default), or "uint8" as stored.
        with_rows: whether a batch is a dict of the samples, under "x", and their int32 positions in `images`, under
            "rows", for a model that learns a code of each sample (default False: the samples alone).

    Raises:
        UserError: if `batch_size` is below 1 or above N.
        ValueError: if the array is neither of the two kinds, or `dtype` is another.
    """

    def __init__(self, images, batch_size, seed=0, start=0, flip=False, dtype="float32", with_rows=False):
        super().__init__()
        # A plain view: indexing a memory map directly costs more than the copy itself for small batches.
        self.images = np.asarray(images.array if isinstance(images, Images) else images)
        are_points = self.images.dtype in (np.float32, np.int32) and self.images.ndim > 1 and not flip
        if not are_points and (self.images.dtype != np.uint8 or self.images.ndim != 4):
            raise ValueError(f"expected uint8 images NHWC, received {self.images.dtype} of shape {self.images.shape}")
        if dtype not in ("float32", "uint8"):
            raise ValueError(f"dtype must be 'float32' or 'uint8', received {dtype!r}")
        if batch_size < 1:
            raise UserError(f"--batch-size must be at least 1, not {batch_size}")
        if len(self.images) < batch_size:
            kind = "images" if self.images.dtype == np.uint8 else "samples"
            raise UserError(f"there are only {len(self.images)} {kind}: lower --batch-size from {batch_size}")
        self.batch_size, self.seed, self.start, self.flip, self.dtype = batch_size, seed, start, flip, dtype
        self.with_rows = with_rows
        self.steps_per_epoch = len(self.images) // batch_size
        self._cached_permutation = (None, None)  # epoch, permutation

    def shape_of(self, x):
        """Return the shape of the batches of which x is one; None stands for what differs from batch to batch."""
        return (None, *x.shape[1:])

    @property
    def num_batches(self):
        """Return None: the sequence has no end."""
        return None

    def __getitem__(self, idx):
        step = self.start + idx
        epoch, position = divmod(step, self.steps_per_epoch)
        rows = self._permutation(epoch)[position * self.batch_size : (position + 1) * self.batch_size]
        batch = self.images[rows]
        if self.flip:
            # numpy pads a seed with zeros: [a, b] = [a, b, 0]. The third word keeps this stream off the permutations'.
            mirrored = np.random.default_rng([self.seed, step, 1]).random(self.batch_size) < 0.5
            pixels = batch.view(f"V{batch.shape[-1]}")  # whole pixels move five times as fast as single channels
            pixels[mirrored] = pixels[mirrored, :, ::-1]
        batch = to_float(batch) if batch.dtype == np.uint8 and self.dtype == "float32" else batch
        return {"x": batch, "rows": rows.astype("int32")} if self.with_rows else batch

    def _permutation(self, epoch):
        cached_epoch, permutation = self._cached_permutation
        if cached_epoch != epoch:
            permutation = np.random.default_rng([self.seed, epoch]).permutation(len(self.images))
            self._cached_permutation = (epoch, permutation)
        return permutation


class SameLengthBatches(EndlessBatches):
    """Endless sequence of batches of sequences, all of one length in a batch, so that none is padded.

    The length of a batch is drawn with a probability in proportion to the number of its examples, and then the
    examples, none twice if there are enough. Both depend on nothing but the seed and the step.

    Args:
        images: int32 (N, ..., longest), sequences that end where the entries become `PAD`.
        batch_size: examples per batch.
        seed: non-negative integer (default 0).
        start: global step of item 0 (default 0).
        *args: others of `EndlessBatches`, which have no effect.
        **kwargs: the same.
    """

    PAD = -1

    def __init__(self, images, batch_size, *args, **kwargs):
        super().__init__(images, batch_size, *args, **kwargs)
        first = self.images.reshape(len(self.images), -1, self.images.shape[-1])[:, 0]
        lengths = (first != self.PAD).sum(1)
        self.rows = {int(length): np.flatnonzero(lengths == length) for length in np.unique(lengths)}

    def shape_of(self, x):
        return (None, *x.shape[1:-1], None)

    def __getitem__(self, idx):
        rng = np.random.default_rng([self.seed, self.start + idx])
        lengths = list(self.rows)
        sizes = np.array([len(rows) for rows in self.rows.values()])
        length = lengths[rng.choice(len(lengths), p=sizes / sizes.sum())]
        rows = self.rows[length]
        rows = rows[rng.choice(len(rows), self.batch_size, replace=len(rows) < self.batch_size)]
        return self.images[rows][..., :length]
