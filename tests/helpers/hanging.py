"""How long tests wait for another process or a page."""

HANGS_S = 300  # tests wait for events: after this time something hangs, however much else the machine has to do
HANGS_MS = 1000 * HANGS_S
