"""The paper's tables II to IX and figures 7 to 10, each as something to run: at the paper's scale, or a tiny one."""
