"""The verb transfer: what a reward, and a policy, are worth where the dynamics have changed."""

from irl_probe.transfers.config import FORMS, TransferConfig
from irl_probe.transfers.verb import transfer

__all__ = ["FORMS", "TransferConfig", "transfer"]
