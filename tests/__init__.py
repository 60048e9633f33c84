"""Tests, which mirror the source; a package, so that no other package of that name stands in for it."""
