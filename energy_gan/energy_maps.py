"""Maps of an energy over the plane: the energy itself, and the density that it defines."""

import numpy as np

from common.streams import stage

CELLS = 200


def maps(critic, extent, cells=CELLS):
    """Return U and e^-U / Z on the cells of `common.plots.planes.grid_points`.

    Args:
        critic: model (n, 2) -> (n, 1), -U.
        extent: (xmin, xmax, ymin, ymax). Z is the integral of e^-U over it.
        cells: int, number of cells along each axis (default 200).

    Returns:
        Two float64 arrays (cells, cells); rows are y, columns x.
    """
    from common.models.inference import predict
    from common.plots.planes import grid_points

    energy = -predict(critic, grid_points(extent, cells)).astype("float64").reshape(cells, cells)
    density = np.exp(energy.min() - energy)
    area = (extent[1] - extent[0]) * (extent[3] - extent[2]) / cells**2
    return energy, density / (density.sum() * area)


@stage("drawing maps of the energy")
def draw_maps(path, critic, generator, args):
    """Draw data, samples, energy and density side by side into a PNG.

    Args:
        path: path of the PNG.
        critic: model (n, 2) -> (n, 1), -U.
        generator: model (n, latent_dim) -> (n, 2).
        args: flags of the run.
    """
    from common.experiments.sample_space import PlaneSpace
    from common.models.inference import predict
    from common.plots.planes import plot_panels_2d
    from common.plots.words import in_words

    data = PlaneSpace(args)
    z = np.random.default_rng([args.seed, 3]).standard_normal((data.n, args.latent_dim), "float32")
    energy, density = maps(critic, data.extent)
    panels = {"data": data.reference, "samples": predict(generator, z), "energy U": energy, "e^-U / Z": density}
    plot_panels_2d(path, panels, data.extent, f"Samples and energy: {in_words(args.dataset)}, {args.steps:,} steps")
