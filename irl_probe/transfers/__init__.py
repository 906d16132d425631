"""The verb transfer: how well a reward, and a policy, do where the dynamics have changed."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
