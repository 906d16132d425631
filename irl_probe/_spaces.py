"""Gymnasium's environments and spaces, as types."""

from __future__ import annotations

from typing import Any

import gymnasium

Env = gymnasium.Env[Any, Any]
Space = gymnasium.Space[Any]
