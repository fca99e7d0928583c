"""How long tests wait for another process or a page."""

# Tests wait for events. After this time something hangs, however much else the machine has to do.
HANGS_S = 300
HANGS_MS = 1000 * HANGS_S
