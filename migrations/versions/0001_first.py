"""The first tables: shows, characters, pictures, models, snapshots, publications."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "shows",
        sa.Column("slug", sa.String(), nullable=False),
        sa.Column("title", sa.String(), nullable=False),
        sa.Column("year", sa.Integer(), nullable=True),
        sa.Column("extra", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("slug", name=op.f("pk_shows")),
    )
    op.create_table(
        "characters",
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("show", sa.String(), nullable=False),
        sa.Column("slug", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("type", sa.String(), nullable=True),
        sa.PrimaryKeyConstraint("label", name=op.f("pk_characters")),
        sa.ForeignKeyConstraint(["show"], ["shows.slug"], name=op.f("fk_characters_show_shows"), ondelete="CASCADE"),
        sa.UniqueConstraint("show", "slug", name=op.f("uq_characters_show_slug")),
        sa.CheckConstraint("type IN ('male', 'female', 'non-human')", name=op.f("ck_characters_type")),
    )
    op.create_table(
        "pictures",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("character", sa.String(), nullable=False),
        sa.Column("path", sa.String(), nullable=False),
        sa.Column("library", sa.String(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("format", sa.String(), nullable=False),
        sa.Column("bytes", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pictures")),
        sa.ForeignKeyConstraint(
            ["character"], ["characters.label"], name=op.f("fk_pictures_character_characters"), ondelete="CASCADE"
        ),
        sa.CheckConstraint("length(id) = 64", name=op.f("ck_pictures_id_length")),
    )
    op.create_index(op.f("ix_pictures_character"), "pictures", ["character"])
    op.create_table(
        "models",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("backbone", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.Column("space", sa.String(), nullable=False),
        sa.Column("notice", sa.String(), nullable=True),
        sa.Column("created", sa.String(), nullable=False),
        sa.Column("in_use", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_models")),
        sa.UniqueConstraint("in_use", name=op.f("uq_models_in_use")),
        sa.CheckConstraint("in_use", name=op.f("ck_models_in_use_true_or_null")),
    )
    op.create_table(
        "snapshots",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("space", sa.String(), nullable=False),
        sa.Column("pictures", sa.Integer(), nullable=False),
        sa.Column("characters", sa.Integer(), nullable=False),
        sa.Column("shows", sa.Integer(), nullable=False),
        sa.Column("created", sa.String(), nullable=False),
        sa.Column("digest", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_snapshots")),
        sa.ForeignKeyConstraint(["model"], ["models.name"], name=op.f("fk_snapshots_model_models")),
    )
    op.create_table(
        "publications",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("snapshot", sa.String(), nullable=False),
        sa.Column("published", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_publications")),
        sa.ForeignKeyConstraint(
            ["snapshot"], ["snapshots.id"], name=op.f("fk_publications_snapshot_snapshots"), ondelete="CASCADE"
        ),
        sqlite_autoincrement=True,
    )


def downgrade() -> None:
    for table in ("publications", "snapshots", "models", "pictures", "characters", "shows"):
        op.drop_table(table)
