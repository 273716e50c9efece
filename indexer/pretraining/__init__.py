"""Pretraining: the recipe of the VGG19 that comes with Sokkuri, from drawings and what teachers see in them."""
