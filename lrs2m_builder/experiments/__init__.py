"""The paper's tables II to IX and figures 7 to 10 as experiments, at the paper's scale or at a tiny one."""
