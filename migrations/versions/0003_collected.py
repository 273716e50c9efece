"""The tables of the collector: where each collected picture came from, and which pictures were forgotten on demand."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "collected",
        sa.Column("library", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("picture", sa.String(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("page", sa.Text(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("fetched", sa.String(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("etag", sa.String(), nullable=False),
        sa.Column("licence", sa.String(), nullable=False),
        sa.Column("author", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("library", "path", name=op.f("pk_collected")),
        sa.CheckConstraint("length(picture) = 64", name=op.f("ck_collected_picture_length")),
    )
    op.create_index(op.f("ix_collected_picture"), "collected", ["picture"])
    op.create_table(
        "forgotten",
        sa.Column("picture", sa.String(), nullable=False),
        sa.Column("forgotten", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("picture", name=op.f("pk_forgotten")),
        sa.CheckConstraint("length(picture) = 64", name=op.f("ck_forgotten_picture_length")),
    )


def downgrade() -> None:
    for table in ("forgotten", "collected"):
        op.drop_table(table)
