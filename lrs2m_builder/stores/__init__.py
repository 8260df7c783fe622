"""Folders and files on the disk: who may write where."""
