"""A sample wheel whose revisions do what is safe on a table that is in use."""

from libraries.maestro_core_db.wheels import function
from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from maestro_core_db import TYPE_ANNOTATIONS, Versioned, new_metadata


class Base(DeclarativeBase):
    """The tables of the shop."""

    metadata = new_metadata()
    type_annotation_map = TYPE_ANNOTATIONS


class Article(Versioned, Base):
    """Something that is sold."""

    __tablename__ = "article"
    __table_args__ = (CheckConstraint("stock >= 0", name="stock"), Index("ix_article_name", "name"))
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    stock: Mapped[int] = mapped_column(server_default=text("0"))


class Order(Base):
    """An order of an article."""

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    article_id: Mapped[int] = mapped_column(ForeignKey("article.id"))


REVISIONS = {
    "0001_articles": function(
        "upgrade",
        "op.create_table('article', sa.Column('id', sa.Integer(), nullable=False),",
        "    sa.Column('name', sa.String(), nullable=False), sa.Column('version', sa.Integer(), nullable=False),",
        "    sa.PrimaryKeyConstraint('id', name='pk_article'))",
    )
    + function("downgrade", "op.drop_table('article')"),
    "0002_stock": function(
        "upgrade",
        "with op.batch_alter_table('article') as batch:",
        "    batch.add_column(sa.Column('stock', sa.Integer(), server_default=sa.text('0'), nullable=False))",
        "    batch.create_check_constraint(op.f('ck_article_stock'), 'stock >= 0', postgresql_not_valid=True)",
        "op.create_table('orders', sa.Column('id', sa.Integer(), nullable=False),",
        "    sa.Column('article_id', sa.Integer(), nullable=False),",
        "    sa.PrimaryKeyConstraint('id', name='pk_orders'),",
        "    sa.ForeignKeyConstraint(['article_id'], ['article.id'], name='fk_orders_article_id_article'))",
    )
    + function(
        "downgrade",
        "op.drop_table('orders')",
        "with op.batch_alter_table('article') as batch:",
        "    batch.drop_constraint(op.f('ck_article_stock'), type_='check')",
        "    batch.drop_column('stock')",
    ),
    "0003_name_index": function(
        "upgrade",
        "if op.get_context().dialect.name == 'postgresql':",
        "    op.execute('ALTER TABLE article VALIDATE CONSTRAINT ck_article_stock')",
        "with op.get_context().autocommit_block():",
        "    op.create_index('ix_article_name', 'article', ['name'], postgresql_concurrently=True)",
    )
    + function("downgrade", "op.drop_index('ix_article_name', 'article')"),
}
