"""How the demo captioner is made; run by `make demo-model`, not part of the installed package."""
