"""The same engine without an input image: images from noise, and classifiers that learn from them."""
