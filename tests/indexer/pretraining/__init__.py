"""Tests of the recipe of the weights that come with Sokkuri."""
