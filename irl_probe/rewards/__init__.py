"""Reward models: recover, distil, save, load and check them, and make environments that pay them."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
