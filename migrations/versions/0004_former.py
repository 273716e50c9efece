"""The table of pictures that left the published library while a snapshot still holds them."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "former_pictures",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("character", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("library", sa.String(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("format", sa.String(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_former_pictures")),
        sa.CheckConstraint("length(id) = 64", name=op.f("ck_former_pictures_id_length")),
    )


def downgrade() -> None:
    op.drop_table("former_pictures")
