"""Adapters of the NeighbourIndex port, one file an engine."""
