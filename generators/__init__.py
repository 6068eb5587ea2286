"""Text from a spec and a target: sketches, kernel scripts, start points and expansion policies; builds and times nothing."""
