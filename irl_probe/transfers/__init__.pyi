from .config import FORMS, TransferConfig
from .verb import transfer

__all__ = ["FORMS", "TransferConfig", "transfer"]
