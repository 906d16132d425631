from .config import FORMS, TransferConfig
from .learned import group_of, with_intervals
from .verb import transfer

__all__ = ["FORMS", "TransferConfig", "group_of", "transfer", "with_intervals"]
