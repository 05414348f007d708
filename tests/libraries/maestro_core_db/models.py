"""The models that these tests store."""

from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import ForeignKey
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

from maestro_core_db import TYPE_ANNOTATIONS, Versioned, new_metadata, outbox_table


class Base(DeclarativeBase):
    """All tables of these tests."""

    metadata = new_metadata()
    type_annotation_map = TYPE_ANNOTATIONS


class Author(Base):
    """Has books."""

    __tablename__ = "author"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    books: Mapped[list["Book"]] = relationship(back_populates="author", order_by="Book.id")


class Book(Base):
    """Belongs to an author."""

    __tablename__ = "book"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    author_id: Mapped[int] = mapped_column(ForeignKey("author.id"))
    author: Mapped[Author] = relationship(back_populates="books")


class Account(Versioned, Base):
    """Has a version."""

    __tablename__ = "account"
    id: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int]


class Sample(Base):
    """Has a column of each type."""

    __tablename__ = "sample"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    at: Mapped[datetime | None]
    price: Mapped[Decimal | None]
    data: Mapped[dict[str, Any] | None]


outbox = outbox_table(Base.metadata)
