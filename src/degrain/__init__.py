"""Train generative adversarial networks that denoise images, as a reproducible pipeline."""

__version__ = "0.1.0"
