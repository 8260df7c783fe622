"""Images in files of their own or inside others: where the bytes are, which part is used, the pixels as RGB."""
