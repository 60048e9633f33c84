"""The command line: `mtl-zoo`."""
