"""Makes the YAML importable as the package `sea.conf` once hatchling has put it into the wheel; holds no code."""
