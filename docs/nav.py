"""Put pages that the navigation of mkdocs.yml does not name at its end, so that readers can find every page."""

from pathlib import Path
from typing import Any


def on_config(config: Any) -> Any:
    """mkdocs calls this with its configuration, whose `nav` may be changed."""
    folder = Path(config["docs_dir"])
    named = str(config["nav"])
    pages = sorted(page.relative_to(folder).as_posix() for page in folder.rglob("*.md"))
    config["nav"] += [page for page in pages if f"'{page}'" not in named]
    return config
