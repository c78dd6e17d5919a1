"""The browser of the tests in this folder."""

from support.chromium import chromium

__all__ = ["chromium"]
