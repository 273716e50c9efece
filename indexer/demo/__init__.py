"""The drawn demo world: shows that never were, so that Sokkuri can be tried without anybody's pictures."""
