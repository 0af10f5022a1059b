"""Botticelli keeps a community channel alive with good posts and needs nobody to watch it."""
