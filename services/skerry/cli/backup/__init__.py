"""Backup and restore of what nobody may lose: custom resources, blobs, the model repository, the teacher's models."""
