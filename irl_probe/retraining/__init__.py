"""The verb retrain: fresh policies that know nothing but a reward, and what they are worth."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
