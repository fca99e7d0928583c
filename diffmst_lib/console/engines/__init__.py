"""How the effects are computed: compiled loops on a CPU, one kernel on a GPU."""
