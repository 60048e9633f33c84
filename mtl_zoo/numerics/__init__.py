"""Small numerical problems under the methods."""
