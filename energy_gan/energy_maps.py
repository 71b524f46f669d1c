"""What an energy has learned of the plane: its landscape, and the density that it stands for."""

import numpy as np

CELLS = 200


def maps(critic, extent, cells=CELLS):
    """U and e^-U / Z on the cells of `grid_points`, two arrays (cells, cells), [row = y, column = x].

    Args:
        critic: model (n, 2) -> (n, 1), -U.
        extent: (xmin, xmax, ymin, ymax); Z is the integral over it.
    """
    from common.models.inference import predict
    from common.plots.planes import grid_points

    energy = -predict(critic, grid_points(extent, cells)).astype("float64").reshape(cells, cells)
    density = np.exp(energy.min() - energy)
    area = (extent[1] - extent[0]) * (extent[3] - extent[2]) / cells**2
    return energy, density / (density.sum() * area)


def draw_maps(path, critic, generator, args):
    """Data, samples, energy and density side by side, into a PNG."""
    from common.experiments.sample_space import PlaneSpace
    from common.models.inference import predict
    from common.plots.planes import plot_panels_2d

    data = PlaneSpace(args)
    z = np.random.default_rng([args.seed, 3]).standard_normal((data.n, args.latent_dim), "float32")
    energy, density = maps(critic, data.extent)
    panels = {"data": data.reference, "samples": predict(generator, z), "energy U": energy, "e^-U / Z": density}
    plot_panels_2d(path, panels, data.extent)
