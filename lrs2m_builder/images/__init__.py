"""Any image, in a file of its own or inside another: where its bytes are, which part is meant, its pixels as RGB."""
