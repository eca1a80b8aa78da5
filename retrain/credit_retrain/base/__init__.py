"""What everything else stands on: places, defaults, problems, progress, files written whole."""
