"""How good a model is, and how far its numbers can be trusted."""
