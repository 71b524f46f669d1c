"""Article 6261: methods of descent as flows, and GANs under the same integrators."""
