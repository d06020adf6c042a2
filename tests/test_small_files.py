"""Every reader of a small file tells one line, and comes back, whatever lies at the path."""

from __future__ import annotations
