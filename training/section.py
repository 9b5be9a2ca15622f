"""What every section of an experiment file has in common."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """Read-only; a key that is not known is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
