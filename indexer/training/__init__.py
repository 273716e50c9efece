"""Training: weights for the backbone, features once for each picture, heads on top of them."""
