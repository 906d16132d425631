"""Reward models: recovered from a soft Q-function, saved, loaded, checked, and paid by an environment."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
