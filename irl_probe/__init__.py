"""Learn a soft Q-function from demonstrations, read out the reward it implies, and say what that reward is worth.

The names are those of `__init__.pyi`. Each is loaded when it is first used, so that `import irl_probe` costs nothing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
