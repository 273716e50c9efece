"""Everything that builds what answers are read from: folders of pictures become models and snapshots.

Stands on `recommender` and never sees `web`.
"""
