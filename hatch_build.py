"""Builds the kernels into a wheel, or beside their sources for an editable installation; makes the index's README.

Whatever goes wrong ends the kernels' build, never the installation: the package works without, and builds on first use.
"""

import platform
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface


def for_index(text: str) -> str:
    """The README without what lies beside it in the repository: pictures go, of links the words stay; code stays."""
    return "```".join(part if at % 2 else _without_files(part) for at, part in enumerate(text.split("```")))


def _without_files(text: str) -> str:
    text = re.sub(r"!\[[^]]*\]\((?!https?:)[^)]*\)\n*", "", text)
    return re.sub(r"\[([^]]*)\]\((?!https?:|#)[^)]*\)", r"\1", text)


class ReadmeHook(MetadataHookInterface):
    """Says what the package's page on an index shows."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Put it among the project's metadata."""
        text = for_index((Path(self.root) / "README.md").read_text(encoding="utf-8"))
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


class KernelsHook(BuildHookInterface):
    """Adds the libraries of `striate.base.compiling.installing` to what is built."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build them; called before anything is packed."""
        sys.path.insert(0, self.root)
        try:
            self._build(version, build_data)
        except Exception as error:  # noqa: BLE001 - whatever it is, the package works without kernels
            self.app.display_warning(f"no kernels are built: {type(error).__name__}: {error}")
        finally:
            sys.path.remove(self.root)

    def _build(self, version: str, build_data: dict[str, Any]) -> None:
        from striate.base.compiling import installing, sources

        if version == "editable":
            installing.build(sources.INSTALLED, self.app.display_info)
            return
        within = sources.INSTALLED.relative_to(Path(self.root).resolve()).as_posix()
        # It lives until everything is packed, with this object.
        self._folder = tempfile.TemporaryDirectory(prefix="striate-kernels-")
        made = installing.build(Path(self._folder.name), self.app.display_info)
        for path in made:
            for each in (path, path.with_name(f"{path.name}.sha256")):
                build_data["force_include"][str(each)] = f"{within}/{each.name}"
        if made:
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-linux_{platform.machine()}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Called when everything is packed."""
        if folder := getattr(self, "_folder", None):
            folder.cleanup()
