"""Everything needed to answer: who is this character, and which shows are drawn like it.

Knows neither how the answers' sources are built (`indexer`) nor how they travel over HTTP (`web`).
"""
